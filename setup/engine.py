"""Finds a Docker Engine, or starts a private one under `.aerie/engine` where that is allowed.

Knows the places where Docker hides (DOCKER_HOST, contexts, Docker Desktop, Colima) and dockerd's options. Must never change, stop or
restart an engine that it did not start itself; `find` tells in one sentence what is missing when there is none.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from setup import bridge, debian, processes
from setup.engine_api import EngineApi, socket_exists
from setup.progress import Step, say
from setup.sockets import short_folder

START_SECONDS = 60.0
STOP_SECONDS = 30.0


class NoEngine(Exception):
    """There is no engine and none can be started; the message says what is missing."""


@dataclass(frozen=True)
class Engine:
    """An engine that answers: `host` as for DOCKER_HOST, where it was found, its version, and whether it is our own."""

    host: str
    found: str
    version: str
    private: "PrivateEngine | None" = None

    def stop(self) -> None:
        """Stop the engine if it is ours; another's is left as it is."""
        if self.private is not None:
            self.private.stop()


def find(folder: Path, may_install: bool = True) -> Engine:
    """An engine that answers now. `folder` is where a private one keeps its things (`.aerie/engine`).

    Raises NoEngine with one sentence for the person.
    """
    private = PrivateEngine(folder)
    refused = ""
    for host, found in candidates():
        if not socket_exists(host):
            if found == "DOCKER_HOST":
                say(f"! DOCKER_HOST is {host}, where there is no socket; looking elsewhere.")
            continue
        if version := EngineApi(host).ping():
            return Engine(host, found, version)
        if host.startswith("unix://") and not os.access(host.removeprefix("unix://"), os.W_OK):
            path = host.removeprefix("unix://")
            refused = f"Docker's socket {path} is closed to you; join its group (sudo usermod -aG docker $USER) and sign in again"
        elif found == "DOCKER_HOST":
            say(f"! DOCKER_HOST is {host}, where no engine answers; looking elsewhere.")
    if sys.platform == "linux" and os.geteuid() == 0:
        if debian.which("dockerd") is None or debian.which("iptables") is None:
            if may_install and debian.can_install():
                try:
                    debian.install(
                        ["docker.io", "iptables", "ca-certificates"], "Installing Docker (docker.io)", folder.parent / "setup.log"
                    )
                except debian.InstallFailed as error:
                    raise NoEngine(f"Docker could not be installed: {error}") from error
            elif debian.which("dockerd") is None:
                raise NoEngine("There is no Docker Engine, and only on a Debian family system is one installed for you; install Docker")
        return Engine(private.host, "private engine", private.start(), private)
    if refused:
        raise NoEngine(refused)
    if sys.platform == "darwin":
        raise NoEngine("No Docker Engine answers; start Docker Desktop, Colima or OrbStack")
    raise NoEngine(
        "No Docker Engine answers; install Docker and start it, or run this as root on Debian or Ubuntu, where it is installed for you"
    )


def candidates() -> list[tuple[str, str]]:
    """Addresses to try and where each comes from, best first, without repeats."""
    home = Path.home()
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    places = [
        (os.environ.get("DOCKER_HOST", ""), "DOCKER_HOST"),
        (_context(home), "docker context"),
        ("unix:///var/run/docker.sock", "default socket"),
    ]
    sockets = [home / ".docker/run/docker.sock", home / ".docker/desktop/docker.sock", home / ".colima/default/docker.sock",
               home / ".colima/docker.sock", home / ".orbstack/run/docker.sock", home / ".rd/docker.sock"]  # fmt: skip
    if runtime:
        sockets.append(Path(runtime) / "docker.sock")
    places += [(f"unix://{path}", str(path).replace(str(home), "~")) for path in sockets]
    seen: dict[str, str] = {}
    for host, found in places:
        if host.split("://")[0] in ("unix", "tcp", "http", "https"):
            seen.setdefault(host, found)
    return list(seen.items())


def _context(home: Path) -> str:
    """The address of the docker command's current context, or an empty text."""
    folder = Path(os.environ.get("DOCKER_CONFIG", home / ".docker"))
    try:
        name = os.environ.get("DOCKER_CONTEXT") or json.loads((folder / "config.json").read_text()).get("currentContext", "")
        if not name or name == "default":
            return ""
        meta = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
        return str(json.loads(meta.read_text())["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


class PrivateEngine:
    """A dockerd of our own: data, sockets and bridge apart from any other engine of the machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        mark = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        self.sockets = short_folder(self.folder)
        self.host = f"unix://{self.sockets / 'docker.sock'}"
        self.bridge = f"aerie{mark}"
        self.pid = self.folder / "dockerd.json"
        self.log = self.folder / "dockerd.log"
        self.driver = self.folder / "storage-driver"
        self._process: subprocess.Popen[bytes] | None = None
        """Our own child, for as long as it runs."""

    def start(self) -> str:
        """Start it, or find it running; its version. Raises NoEngine with dockerd's last lines when it will not run."""
        api = EngineApi(self.host)
        if processes.remembered(self.pid) is not None and (version := api.ping()):
            return version
        processes.end(self.pid, STOP_SECONDS)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sockets.mkdir(parents=True, exist_ok=True, mode=0o711)
        with Step("Starting a private Docker Engine") as step:
            trouble = ""
            for options in self._attempts():
                self._tidy()
                if version := self._run(options, api, step):
                    step.done(f"Docker {version}, {' '.join(options) or 'usual options'}")
                    return version
                trouble = debian.last_lines(self.log, 8)
        raise NoEngine(f"dockerd does not start here (whole log: {self.log}); its last lines:\n{trouble}\nA Docker Engine is missing")

    def stop(self) -> None:
        """Stop dockerd, its containers first, and take its bridge and sockets away. Images stay for the next start."""
        processes.end(self.pid, STOP_SECONDS)
        self._tidy()
        bridge.remove(self.bridge)
        bridge.forget_rules(self.bridge)
        if self.sockets != self.folder:
            shutil.rmtree(self.sockets, ignore_errors=True)

    def _attempts(self) -> list[list[str]]:
        """Options to try in turn: a kernel may lack overlayfs, or netfilter."""
        known = self.driver.read_text().strip() if self.driver.exists() else ""
        drivers = [known] if known else ["overlay2", "vfs"]
        firewall = ["--iptables=true", "--iptables=false"]
        return [[f"--storage-driver={driver}", option] for driver in drivers for option in firewall]

    def _run(self, options: list[str], api: EngineApi, step: Step) -> str | None:
        dockerd = debian.which("dockerd")
        if dockerd is None:
            raise NoEngine("dockerd is missing although Docker was installed")
        subnet = bridge.ensure(self.bridge)
        command = [
            dockerd, "--data-root", str(self.folder / "data"), "--exec-root", str(self.sockets / "exec"),
            "--pidfile", str(self.sockets / "docker.pid"),
            "--host", self.host, "--config-file", str(self.folder / "daemon.json"), "--group", str(os.getgid()), *options,
        ]  # fmt: skip
        command += ["--bridge", self.bridge] if subnet else []
        (self.folder / "daemon.json").write_text("{}\n")
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"])
        with self.log.open("wb") as log:
            self._process = process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/", env={**os.environ, "PATH": path}
            )
        processes.remember(self.pid, process.pid)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if version := api.ping(timeout=2.0):
                self.driver.write_text(options[0].removeprefix("--storage-driver="))
                return version
            step.at(None)
            time.sleep(0.1)
        processes.end(self.pid, 10.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        return None

    def _tidy(self) -> None:
        """Clear what a dockerd that was killed leaves behind and its successor stumbles over: its containerd, pid file and sockets."""
        if processes.remembered(self.pid) is not None:
            return
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)  # dead, but its threads may still be ending
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.sockets / "exec" / "containerd" / "containerd.pid").read_text())
            if str(self.sockets) in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
                time.sleep(0.2)
        for name in ("docker.pid", "docker.sock", "exec/containerd/containerd.pid", "exec/containerd/containerd.sock"):
            (self.sockets / name).unlink(missing_ok=True)
