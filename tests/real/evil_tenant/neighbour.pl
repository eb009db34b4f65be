# A peaceful server: says `canary` to whoever connects to its port, and keeps what it hears by UDP.
use strict; use warnings; use Socket;
my $port = $ENV{SERVER_PORT};
socket(my $tcp, PF_INET, SOCK_STREAM, 0); setsockopt($tcp, SOL_SOCKET, SO_REUSEADDR, 1);
bind($tcp, sockaddr_in($port, INADDR_ANY)) or die "bind: $!"; listen($tcp, 16);
socket(my $udp, PF_INET, SOCK_DGRAM, 0); bind($udp, sockaddr_in($port, INADDR_ANY)) or die "bind: $!";
open(my $heard, '>>', '/home/container/heard') or die; select($heard); $| = 1; select(STDOUT); $| = 1;
print "ready\n";
while (1) {
    my $bits = ''; vec($bits, fileno($_), 1) = 1 for $tcp, $udp;
    select(my $ready = $bits, undef, undef, undef);
    if (vec($ready, fileno($udp), 1)) { recv($udp, my $text, 512, 0); print $heard "$text\n" }
    if (vec($ready, fileno($tcp), 1)) { accept(my $one, $tcp); syswrite($one, "canary\n"); close $one }
}
