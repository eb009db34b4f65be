FROM aerie-test/base:MARK
COPY redis-entrypoint.sh /usr/local/bin/
ENTRYPOINT ["sh", "/usr/local/bin/redis-entrypoint.sh"]
CMD ["redis-server"]
