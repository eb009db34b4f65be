#!/bin/sh
# As in Redis' image: the server never runs as root.
set -eu
case "${1:-}" in -*) set -- redis-server "$@" ;; esac
cd /data
exec setpriv --reuid=redis --regid=redis --clear-groups "$@" --bind 0.0.0.0 --protected-mode no
