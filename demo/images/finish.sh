#!/bin/sh
# Last step of both ways to make the demo image: Dockerfile runs it with no argument, mmdebstrap with the new tree's folder.
# Beside it lie the files to put in place. The uid is Wings' own, 988; nothing here needs it to exist on the host.
set -e
recipe=$(dirname "$0")
tree=${1:-}
install -m 755 "$recipe/entrypoint.sh" "$tree/entrypoint.sh"
install -m 755 "$recipe/luanti-server" "$tree/usr/local/bin/luanti-server"
grep -q '^container:' "$tree/etc/passwd" || echo 'container:x:988:988::/home/container:/bin/sh' >> "$tree/etc/passwd"
grep -q '^container:' "$tree/etc/group" || echo 'container:x:988:' >> "$tree/etc/group"
install -d "$tree/home/container"
chown 988:988 "$tree/home/container"
# freeciv reads commands through readline, which would send bracketed-paste codes round every prompt
echo 'set enable-bracketed-paste off' >> "$tree/etc/inputrc"
rm -rf "$tree/usr/share/fonts" "$tree/usr/share/fonts-droid-fallback" "$tree/usr/share/doc" "$tree/usr/share/man" \
    "$tree/usr/share/games/freeciv/stdmusic" "$tree/usr/share/games/freeciv/stdsounds" "$tree/var/lib/apt/lists" "$tree/var/cache/apt"
rm -rf "$tree"/usr/share/locale/*
mkdir -p "$tree/var/lib/apt/lists/partial" "$tree/var/cache/apt/archives/partial"
