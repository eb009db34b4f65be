#!/bin/sh
# As in MariaDB's image: each argument names one test, all must pass.
set -eu
ask() { mariadb --defaults-extra-file=/var/lib/mysql/.my-healthcheck.cnf --batch --skip-column-names "$@"; }
for name in "$@"; do
    case "$name" in
        --connect) [ "$(ask --host=127.0.0.1 --protocol=tcp -e 'SELECT @@skip_networking')" = 0 ] ;;
        --innodb_initialized)
            [ "$(ask --socket=/run/mysqld/mysqld.sock -e "SELECT 1 FROM information_schema.ENGINES WHERE engine = 'innodb' AND support IN ('YES', 'DEFAULT')")" = 1 ] ;;
        *) echo "healthcheck.sh knows no $name" >&2; exit 1 ;;
    esac
done
