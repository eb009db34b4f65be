#!/bin/sh
# What the compose files lean on of MariaDB's image: root reads the secrets, then the user mysql serves; the first start makes
# the database, its user and root's password, later ones find them.
set -eu
case "${1:-}" in -*|'') set -- mariadbd "$@" ;; esac
program=$1
shift
data=/var/lib/mysql
install -d -o mysql -g mysql /run/mysqld
first=
if [ ! -d "$data/mysql" ]; then
    first=/run/mysqld/first.sql
    root=$(cat "$MARIADB_ROOT_PASSWORD_FILE")
    health=$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')
    chown mysql:mysql "$data"
    setpriv --reuid=mysql --regid=mysql --init-groups mariadb-install-db --no-defaults --datadir="$data" --skip-test-db \
        --auth-root-authentication-method=normal > /dev/null
    {   # an init file wants one statement a line
        echo "ALTER USER root@localhost IDENTIFIED BY '$root';"
        echo "CREATE USER root@'%' IDENTIFIED BY '$root';"
        echo "GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;"
        echo "CREATE USER healthcheck@'127.0.0.1' IDENTIFIED BY '$health';"
        echo "CREATE USER healthcheck@localhost IDENTIFIED BY '$health';"
        if [ -n "${MARIADB_DATABASE:-}" ]; then echo "CREATE DATABASE \`$MARIADB_DATABASE\`;"; fi
        if [ -n "${MARIADB_USER:-}" ]; then
            echo "CREATE USER '$MARIADB_USER'@'%' IDENTIFIED BY '$(cat "$MARIADB_PASSWORD_FILE")';"
            echo "GRANT ALL ON \`$MARIADB_DATABASE\`.* TO '$MARIADB_USER'@'%';"
        fi
    } > "$first"
    printf '[client]\nuser=healthcheck\npassword=%s\n' "$health" > "$data/.my-healthcheck.cnf"
    chown mysql:mysql "$first" "$data/.my-healthcheck.cnf"
    chmod 600 "$first" "$data/.my-healthcheck.cnf"
fi
exec setpriv --reuid=mysql --regid=mysql --init-groups "$program" --no-defaults --datadir="$data" --socket=/run/mysqld/mysqld.sock \
    --bind-address=0.0.0.0 --skip-name-resolve --innodb-buffer-pool-size=32M --performance-schema=OFF ${first:+--init-file=$first} "$@"
