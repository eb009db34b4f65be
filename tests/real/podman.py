"""A podman service of the tests' own: its storage, its networks and its socket in one folder, nothing of the machine's touched.

Answers why it cannot be had where the kernel does not let podman run a container, as in many sandboxes.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

IMAGE = "localhost/aerie-tiny:latest"
"""Bash and a few programs of this machine: no registry is needed."""
_PROGRAMS = ("bash", "cat", "id", "mkdir", "seq", "sleep", "touch")
_SECONDS = 60.0


class Unable(Exception):
    """Podman runs no container here; the text says why."""


@dataclass(frozen=True)
class Podman:
    """A service that answers at `host`."""

    host: str
    folder: Path
    command: tuple[str, ...]
    environment: dict[str, str]
    user: int

    def run(self, *words: str) -> str:
        """What podman says to this. Raises Unable with its last words when it refuses."""
        done = subprocess.run(
            [*self.command, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            user=self.user,
            group=self.user,
            extra_groups=[],
            cwd="/",
        )
        if done.returncode:
            raise Unable(f"podman {words[0]}: {(done.stderr.strip().splitlines() or ['no word'])[-1][:300]}")
        return done.stdout


@contextlib.contextmanager
def service(program: str, user: int = 0) -> Iterator[Podman]:
    """The service with IMAGE in its storage, run by this user of the machine. Raises Unable."""
    folder = Path(tempfile.mkdtemp(prefix="aerie-podman-"))  # short: a socket's path has 107 letters
    os.chown(folder, user, user)
    for name in ("storage", "run", "tmp", "networks", "xdg"):
        (folder / name).mkdir(mode=0o700)
        os.chown(folder / name, user, user)
    settings = folder / "containers.conf"
    settings.write_text(
        f'[engine]\nevents_logger = "file"\ncgroup_manager = "cgroupfs"\ntmp_dir = "{folder}/tmp"\n'
        f'[network]\nnetwork_backend = "cni"\nnetwork_config_dir = "{folder}/networks"\n'
        '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'  # a sandbox may not raise its own
    )
    settings.chmod(0o644)
    environment = {**os.environ, "CONTAINERS_CONF": str(settings), "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "xdg")}
    command = (program, "--root", f"{folder}/storage", "--runroot", f"{folder}/run", "--storage-driver", "vfs")
    podman = Podman(f"unix://{folder}/podman.sock", folder, command, environment, user)
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [*command, "system", "service", "--time=0", podman.host],
            env=environment,
            stdout=log,
            stderr=log,
            user=user,
            group=user,
            extra_groups=[],
            cwd="/",
            start_new_session=True,
        )
    try:
        _wait(running, folder)
        _make_image(podman, folder / "image.tar")
        podman.run("run", "--rm", "--network=none", IMAGE, "bash", "-c", "exit 0")
        yield podman
    finally:
        with contextlib.suppress(Unable, subprocess.TimeoutExpired):
            podman.run("rm", "--all", "--force", "--time=0")
            for network in json.loads(podman.run("network", "ls", "--format=json")):
                if network["name"] != "podman":
                    podman.run("network", "rm", "--force", network["name"])
        running.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(10)
        with contextlib.suppress(ProcessLookupError):  # without root, podman is a child in a namespace of its own
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        for pause in folder.rglob("pause.pid"):  # keeps a namespace open for a user who is not root
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(pause.read_text()), signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(running: "subprocess.Popen[bytes]", folder: Path) -> None:
    end = time.monotonic() + _SECONDS
    while not (folder / "podman.sock").exists():
        if running.poll() is not None or time.monotonic() > end:
            raise Unable(f"its service does not start: {(folder / 'log').read_text(errors='replace').strip()[-300:]}")
        time.sleep(0.02)


def _make_image(podman: Podman, file: Path) -> None:
    with tarfile.open(file, "w") as tar:
        for name in ("tmp", "home", "home/container", "proc", "sys", "dev", "etc", "mnt", "mnt/server", "mnt/install"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        placed = set()
        for program in _PROGRAMS:
            source = shutil.which(program)
            assert source is not None, f"this machine has no {program}"
            linked = subprocess.run(["ldd", source], capture_output=True, text=True, check=True).stdout.split()
            for path, place in [(source, f"bin/{program}"), *((word, word.lstrip("/")) for word in linked if word.startswith("/"))]:
                if place not in placed:
                    placed.add(place)
                    tar.add(os.path.realpath(path), place)
        shell = tarfile.TarInfo("bin/sh")
        shell.type, shell.linkname = tarfile.SYMTYPE, "bash"
        tar.addfile(shell)
    file.chmod(0o644)
    podman.run("import", "--change", 'CMD ["bash","/home/container/game.sh"]', str(file), IMAGE)
