"""Recorded cgroup and /proc trees of one container, v1 and v2, laid out under a folder, with hands to turn their figures."""

from dataclasses import dataclass
from pathlib import Path

ID = "9b47b92265288720bfd912f085673a452a136a24fc82d57797bb0976dabfaad3"
PID = 19932

V1_MEMBERSHIP = f"""9:name=systemd:/docker/{ID}
8:pids:/docker/{ID}
4:memory:/docker/{ID}
2:cpuacct:/docker/{ID}
1:cpu:/docker/{ID}
0::/docker/{ID}
"""
V1_MEMORY_STAT = """cache 2199552
rss 98304
mapped_file 1462272
inactive_anon 94208
inactive_file 2199552
active_file 0
hierarchical_memory_limit 268435456
total_cache 2199552
total_rss 98304
total_inactive_anon 94208
total_inactive_file {idle}
total_active_file 0
total_unevictable 0
"""
V2_MEMORY_STAT = """anon 98304
file 2199552
kernel 442368
inactive_anon 94208
active_anon 4096
inactive_file {idle}
active_file 0
pgfault 1059
"""
NET_HEAD = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
"""
LOOPBACK = "    lo:     777       0    0    0    0     0          0         0      888       0    0    0    0     0       0          0\n"
CARD = "{name:>6}: {rx:>7}       2    0    0    0     0          0         0 {tx:>8}       3    0    0    0     0       0          0\n"


@dataclass
class Tree:
    """What the kernel would show. Each setter rewrites a file in place, so that open descriptors see it."""

    root: Path
    proc: Path
    v2: bool
    folder: Path
    """Of its CPU files."""
    memory: Path

    def cpu(self, nanoseconds: int) -> None:
        if self.v2:
            user = nanoseconds // 2000
            self._write(self.folder / "cpu.stat", f"usage_usec {nanoseconds // 1000}\nuser_usec {user}\nsystem_usec {user}\nnr_periods 0\n")
        else:
            self._write(self.folder / "cpuacct.usage", f"{nanoseconds}\n")

    def use(self, memory: int, idle: int) -> None:
        self._write(self.memory / ("memory.current" if self.v2 else "memory.usage_in_bytes"), f"{memory}\n")
        self._write(self.memory / "memory.stat", (V2_MEMORY_STAT if self.v2 else V1_MEMORY_STAT).format(idle=idle))

    def limit(self, memory: int | None) -> None:
        if self.v2:
            self._write(self.memory / "memory.max", "max\n" if memory is None else f"{memory}\n")
        else:
            self._write(self.memory / "memory.limit_in_bytes", f"{9223372036854771712 if memory is None else memory}\n")

    def quota(self, percent: int | None) -> None:
        if self.v2:
            self._write(self.folder / "cpu.max", f"{'max' if percent is None else percent * 1000} 100000\n")
        else:
            self._write(self.root / "cpu" / "docker" / ID / "cpu.cfs_quota_us", f"{-1 if percent is None else percent * 1000}\n")
            self._write(self.root / "cpu" / "docker" / ID / "cpu.cfs_period_us", "100000\n")

    def kill(self, processes: int) -> None:
        if self.v2:
            text = f"low 0\nhigh 0\nmax 4\noom 2\noom_kill {processes}\noom_group_kill 0\n"
            self._write(self.memory / "memory.events", text)
        else:
            self._write(self.memory / "memory.oom_control", f"oom_kill_disable 0\nunder_oom 0\noom_kill {processes}\n")

    def network(self, **cards: tuple[int, int]) -> None:
        rows = "".join(CARD.format(name=name, rx=rx, tx=tx) for name, (rx, tx) in cards.items())
        self._write(self.proc / str(PID) / "net" / "dev", NET_HEAD + LOOPBACK + rows)

    def own_network(self, *, own: bool) -> None:
        """Whether its network is one of its own, or the machine's."""
        theirs = self.proc / str(PID) / "ns" / "net"
        theirs.unlink(missing_ok=True)
        theirs.symlink_to(self.proc / ("its-network" if own else "machine-network"))

    def belongs(self, text: str) -> None:
        self._write(self.proc / str(PID) / "cgroup", text)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def plant(where: Path, *, v2: bool) -> Tree:
    """A container with 100 MB in use, a tenth of that idle cache, no limits, one network card."""
    root, proc = where / "cgroup", where / "proc"
    below = Path("docker") / ID
    tree = Tree(root, proc, v2, root / below if v2 else root / "cpuacct" / below, root / below if v2 else root / "memory" / below)
    for folder in (proc / "self" / "ns", proc / str(PID) / "ns"):
        folder.mkdir(parents=True)
    for name in ("its-network", "machine-network"):
        (proc / name).touch()
    (proc / "self" / "ns" / "net").symlink_to(proc / "machine-network")
    tree.own_network(own=True)
    tree.belongs(f"0::/docker/{ID}\n" if v2 else V1_MEMBERSHIP)
    tree.cpu(5_000_000_000)
    tree.use(100_000_000, 10_000_000)
    tree.limit(None)
    tree.quota(None)
    tree.kill(0)
    tree.network(eth0=(200, 300))
    return tree
