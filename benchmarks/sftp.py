"""SFTP throughput: OpenSSH's sftp client against our server and against OpenSSH's sshd on this machine, with the same cipher.

Yardstick: `sshd` with the external sftp-server, run by hand on a loopback port. 256 MB up and down, 1,000 files of 4 KB up and down; rounds
alternate and medians are compared; bytes are compared too. Our server runs as it does in `aerie agent`, in a process of its own on
uvloop, under a fake panel. CPU is that of the server's processes while the 256 MB go up and down: `make bench NAME=sftp`.
"""

import argparse
import asyncio
import filecmp
import getpass
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import asyncssh
import uvloop

from agent.app import running
from core.config import AgentConfig
from core.protocol.remote import SftpGrant
from core.protocol.settings import ServerConfiguration
from core.tokens import new_node_token
from setup.sockets import free_port
from tests.fakes.panel import standing

CIPHER = "aes128-gcm@openssh.com"
MEGABYTES = 256
FILES, FILE_BYTES = 1000, 4096
ROUNDS = 3
SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Yard:
    """A server to be measured: how to reach it, where its files lie, its first process."""

    name: str
    port: int
    user: str
    folder: Path
    remote: str
    """What stands before a path at the client's end."""
    process: int
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def note(self, what: str, value: float) -> None:
        self.seconds.setdefault(what, []).append(value)

    def median(self, what: str) -> float:
        return statistics.median(self.seconds[what])


def cpu(root: int) -> float:
    """Seconds of processor time of a process, its children and those it has buried."""
    total = 0.0
    for pid in _family(root):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15])) / TICKS
    return total


def _family(root: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    family = [root]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    return family


def client(yard: Yard, home: Path, lines: list[str]) -> float:
    """Run OpenSSH's sftp; answers the seconds from sign-in done to the end, measured by its first command."""
    mark = home / "mark"
    mark.unlink(missing_ok=True)
    command = [
        "sftp", "-q", "-F", "none", "-c", CIPHER,
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
        "-o", f"IdentityFile={home / 'key'}", "-o", "IdentitiesOnly=yes", "-P", str(yard.port), "-b", "-", f"{yard.user}@127.0.0.1",
    ]  # fmt: skip
    said = "\n".join([f"!touch {mark}", *lines]) + "\n"
    done = subprocess.run(command, input=said, text=True, capture_output=True, cwd=home, timeout=600)
    end = time.time()
    if done.returncode != 0:
        raise SystemExit(f"sftp against {yard.name} failed: {done.stderr}{done.stdout[-500:]}")
    return end - mark.stat().st_mtime


def one_round(yard: Yard, home: Path) -> None:
    for leftover in yard.folder.iterdir():
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    before = cpu(yard.process)
    yard.note("up", client(yard, home, [f"put big {yard.remote}big"]))
    (home / "back").unlink(missing_ok=True)
    yard.note("down", client(yard, home, [f"get {yard.remote}big back"]))
    yard.note("cpu", cpu(yard.process) - before)
    if not filecmp.cmp(home / "big", home / "back", shallow=False) or not filecmp.cmp(home / "big", yard.folder / "big", shallow=False):
        raise SystemExit(f"{yard.name}: the bytes are not the same")
    yard.note("small_up", client(yard, home, [f"put -r small {yard.remote}small"]))
    shutil.rmtree(home / "small-back", ignore_errors=True)
    yard.note("small_down", client(yard, home, [f"get -r {yard.remote}small small-back"]))
    if len(list((home / "small-back").iterdir())) != FILES:
        raise SystemExit(f"{yard.name}: files are missing")


@contextmanager
def openssh(place: Path, public: str) -> Iterator[Yard]:
    """sshd on a loopback port, with keys and settings of its own."""
    folder, port = place / "sshd-files", free_port()
    folder.mkdir()
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(place / "sshd-key")
    (place / "sshd-key").chmod(0o600)
    (place / "sshd-authorized").write_text(public)
    server = next((path for path in SFTP_SERVERS if Path(path).exists()), "internal-sftp")
    settings = place / "sshd-config"
    settings.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place / 'sshd-key'}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"PermitRootLogin yes\nAuthorizedKeysFile {place / 'sshd-authorized'}\nSubsystem sftp {server}\nLogLevel ERROR\n"
    )
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if sshd is None:
        raise SystemExit("sshd is missing: install openssh-server.")
    process = subprocess.Popen([sshd, "-D", "-e", "-f", str(settings)], stderr=subprocess.DEVNULL)
    try:
        yield Yard("sshd", port, getpass.getuser(), folder, f"{folder}/", process.pid)
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def ours(place: Path, public: str) -> Iterator[Yard]:
    """Our agent in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sftp", "--serve", str(place), public.strip()], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        yield Yard("aerie", told["port"], told["user"], Path(told["folder"]), "/", process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


async def serve(place: Path, public: str) -> None:
    """The agent with one server; tells where it listens and runs until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with standing(new_node_token()) as panel:
        uuid = str(uuid4())
        user = f"alice.{uuid[:8]}"
        panel.servers[uuid] = ServerConfiguration.model_validate({"settings": {"uuid": uuid, "skip_egg_scripts": True}})
        panel.sftp[user, public] = SftpGrant(user="u", server=uuid, permissions=["*"])
        config = AgentConfig.model_validate(
            {
                "api": {"host": "127.0.0.1", "port": 0},
                "remote": {"url": panel.url, "token_id": panel.token.id, "token": panel.token.secret},
                "system": {"root_directory": place / "agent", "data": place / "volumes"},
                "docker": {"runtime": "process"},
                "sftp": {"host": "127.0.0.1", "port": 0},
            }
        )
        (config.system.data / uuid).mkdir(parents=True)
        async with running(config) as agent:
            print(json.dumps({"port": agent.sftp.port, "user": user, "folder": str(config.system.data / uuid)}), flush=True)
            await stop.wait()


def measure(rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="aerie-sftp-") as name:
        place = Path(name)
        place.chmod(0o755)
        home = place / "home"
        (home / "small").mkdir(parents=True)
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(home / "key")
        (home / "key").chmod(0o600)
        public = key.export_public_key("openssh").decode()
        block = os.urandom(1024 * 1024)
        with (home / "big").open("wb") as big:
            for number in range(MEGABYTES):
                big.write(number.to_bytes(4, "big") + block[4:])
        for number in range(FILES):
            (home / "small" / f"file-{number}").write_bytes(os.urandom(FILE_BYTES))
        with openssh(place, public) as theirs, ours(place, public) as mine:
            for number in range(rounds):
                for yard in (theirs, mine) if number % 2 == 0 else (mine, theirs):
                    one_round(yard, home)
                print(f"round {number + 1}: " + ", ".join(f"{y.name} {y.seconds['up'][-1]:.2f} s up" for y in (theirs, mine)), flush=True)
            return result(theirs, mine)


def result(theirs: Yard, mine: Yard) -> dict[str, object]:
    """Ratios of rates (more is better), but for cpu (less is better)."""
    rates = {y.name: {w: MEGABYTES / y.median(w) for w in ("up", "down")} for y in (theirs, mine)}
    small = {y.name: {w: FILES / y.median(w) for w in ("small_up", "small_down")} for y in (theirs, mine)}
    figures = {**{f"{w}_mb_s": round(v) for w, v in rates[mine.name].items()}, **{f"{w}_s": round(v) for w, v in small[mine.name].items()}}
    yard = {**{f"{w}_mb_s": round(v) for w, v in rates[theirs.name].items()}, **{f"{w}_s": round(v) for w, v in small[theirs.name].items()}}
    both = {y.name: y.median("small_up") + y.median("small_down") for y in (theirs, mine)}
    return {
        "benchmark": "sftp",
        "ratios": {
            "up": round(theirs.median("up") / mine.median("up"), 2),
            "down": round(theirs.median("down") / mine.median("down"), 2),
            "small": round(both[theirs.name] / both[mine.name], 2),
            "cpu": round(mine.median("cpu") / theirs.median("cpu"), 2),
        },
        "figures": {**figures, "cpu_s": round(mine.median("cpu"), 2)},
        "yardsticks": {**yard, "cpu_s": round(theirs.median("cpu"), 2)},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="SFTP beside OpenSSH.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--serve", nargs=2, metavar=("PLACE", "KEY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(Path(options.serve[0]), options.serve[1]))
    else:
        print(json.dumps(measure(options.rounds)))
