# What a hostile install script tries, as root of its container. One JSON line per attack; the winners are named.
won() { printf '{"id": "%s", "won": %s}\n' "$1" "$2" >> /mnt/server/install.jsonl; }
attack() { id=$1; shift; if ( "$@" ) > /dev/null 2>&1; then won "$id" 1; else won "$id" 0; fi; }
into() { printf x >> "$1"; }
attack ins_device mknod /mnt/server/disk b 8 0
attack ins_character_device mknod /tmp/mem c 1 1
attack ins_mount mount -t tmpfs none /mnt
attack ins_mount_proc mount -t proc none /mnt
attack ins_remount mount -o remount,rw /mnt/install
attack ins_unshare unshare -m true
attack ins_user_namespace unshare -U true
attack ins_chroot chroot / true
attack ins_sysctl into /proc/sys/kernel/core_pattern
attack ins_sysrq into /proc/sysrq-trigger
attack ins_script into /mnt/install/install.sh
attack ins_beside into /mnt/install/other
attack ins_limits sh -c 'for file in /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/cgroup.procs; do [ -f "$file" ] && echo max > "$file" && exit 0; done; exit 1'
attack ins_release_agent sh -c 'for file in /sys/fs/cgroup/*/release_agent; do echo /evil > "$file" && exit 0; done; exit 1'
attack ins_socket sh -c 'find / -xdev -type s | grep -q .'
attack ins_disks sh -c 'for disk in /dev/vd? /dev/sd? /dev/nvme?n1; do head -c 16 "$disk" | grep -q . && exit 0; done; exit 1'
attack ins_others sh -c "ls /mnt/server/.. | grep -qv -e '^server$' -e '^install$'"
attack ins_metadata timeout 5 bash -c 'exec 3<> /dev/tcp/169.254.169.254/80'
attack ins_host timeout 5 bash -c "exec 3<> /dev/tcp/${AT_HOST%:*}/${AT_HOST#*:}"
attack ins_neighbour timeout 5 bash -c "exec 3<> /dev/tcp/${VICTIM%:*}/${VICTIM#*:}"
attack ins_fork_bomb bash -c 'for i in $(seq 1 300); do sleep 30 & done || exit 1; [ "$(jobs -r | wc -l)" -ge 300 ]; won=$?; kill $(jobs -p); exit $won'
ln -s /etc/passwd /mnt/server/passwd_link
ln -s "$OUTSIDE" /mnt/server/outside_link
cp /usr/bin/perl /mnt/server/setuid_perl && chmod 6755 /mnt/server/setuid_perl
mkdir -m 0 /mnt/server/closed && chown 70000:70000 /mnt/server /mnt/server/closed
seq 1 400000
won ins_done 1
