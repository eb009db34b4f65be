#!/bin/sh
# First process of a demo game container, with the manners of a Pterodactyl image:
# STARTUP names the command; {{NAME}} in it means the environment variable NAME.
# The game replaces this shell, so that a signal sent to the container reaches the game itself.
cd /home/container || exit 1
startup=$(printf '%s' "$STARTUP" | sed -e 's/{{ *\([A-Za-z_][A-Za-z0-9_]*\) *}}/${\1}/g')
if [ -z "$startup" ]; then
    echo "STARTUP is empty: nothing to run." >&2
    exit 64
fi
printf ':/home/container$ %s\n' "$startup"
eval "exec $startup"
