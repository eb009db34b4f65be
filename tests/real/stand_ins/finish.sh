#!/bin/sh
# Makes of a Debian tree ($1) what the official images promise: a python with a pip that may install, and users of the same numbers.
set -eu
rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED
ln -s /usr/bin/python3 "$1/usr/local/bin/python"
chroot "$1" userdel redis
chroot "$1" groupadd --gid 1000 redis
chroot "$1" useradd --uid 999 --gid redis --no-create-home redis
if ! chroot "$1" getent passwd mysql > /dev/null; then
    chroot "$1" groupadd --gid 998 mysql
    chroot "$1" useradd --uid 998 --gid mysql --no-create-home mysql
fi
mkdir -p "$1/data" "$1/var/lib/mysql"
chroot "$1" chown redis:redis /data
chroot "$1" chown mysql:mysql /var/lib/mysql
