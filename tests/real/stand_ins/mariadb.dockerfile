FROM aerie-test/base:MARK
COPY mariadb-entrypoint.sh healthcheck.sh /usr/local/bin/
VOLUME /var/lib/mysql
ENTRYPOINT ["sh", "/usr/local/bin/mariadb-entrypoint.sh"]
CMD ["mariadbd"]
