"""The units for systemd: hardened, of one mind with the code, and taken by systemd's own checker where there is one."""

import asyncio
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.config import service_manager
from core.service_manager import ServiceManager
from core.supervise import Supervisor
from front.deployment import SOURCE, agent_unit

UNITS = SOURCE / "packaging/systemd"


def _unit(text: str) -> dict[str, list[str]]:
    """Each key with its values in order, whatever its section."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("name", ["aerie-agent", "aerie-bot"])
def test_a_unit_is_hardened_and_always_comes_back(name: str) -> None:
    unit = _unit((UNITS / f"{name}.service").read_text())
    assert unit["ProtectSystem"] == ["strict"]
    for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "ProtectKernelModules", "RestrictNamespaces"):
        assert unit[key] == ["yes"], key
    assert (unit["Type"], unit["Restart"], unit["KillMode"]) == (["notify"], ["always"], ["mixed"])
    assert int(unit["WatchdogSec"][0]) >= 30
    assert "SYS_MODULE" not in str(unit) and "SYS_RAWIO" not in str(unit) and "SYS_BOOT" not in str(unit)
    if name == "aerie-bot":
        assert unit["CapabilityBoundingSet"] == [""]
        assert unit["User"] != ["root"]


def test_the_agents_unit_is_written_with_this_machines_paths_and_replaces_nothing(tmp_path: Path) -> None:
    settings = tmp_path / "config.yml"
    settings.write_text(f"token: {'t' * 64}\nsystem:\n  root_directory: /srv/wings\n  data: /srv/games\n  log_directory: /var/log/games\n")
    written = agent_unit(tmp_path / "out", settings)
    file = tmp_path / "out/aerie-agent.service"
    unit = _unit(file.read_text())
    assert written.made == ["aerie-agent.service"]
    assert unit["WorkingDirectory"] == [str(SOURCE)]
    assert re.fullmatch(rf"\S+ -m aerie agent --config {settings}", unit["ExecStart"][0])
    assert {"-/srv/wings", "-/srv/games", "-/var/log/games"} <= set(unit["ReadWritePaths"][0].split())
    assert "t" * 64 not in file.read_text()
    file.write_text("mine")
    assert agent_unit(tmp_path / "out", settings).kept == ["aerie-agent.service"]
    assert file.read_text() == "mine"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd-analyze")
@pytest.mark.parametrize("name", ["aerie-agent", "aerie-bot"])
def test_systemd_itself_finds_nothing_wrong(tmp_path: Path, name: str) -> None:
    settings = tmp_path / "aerie.toml"
    settings.write_text("")
    agent_unit(tmp_path, settings)
    if name == "aerie-bot":
        text = (UNITS / "aerie-bot.service").read_text().replace("/opt/aerie/.venv/bin/python", "/bin/true")
        (tmp_path / "aerie-bot.service").write_text(text.replace("User=aerie\nGroup=aerie\n", ""))
    # what these say of other units of the machine is none of ours
    said = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / f"{name}.service"], capture_output=True, text=True, timeout=60, check=False
    )
    assert [line for line in said.stderr.splitlines() if f"{name}.service" in line] == []


async def test_systemd_is_told_that_we_are_ready_live_and_end(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(20)
        manager = service_manager({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"})
        manager.ready("The agent listens.")
        assert ear.recv(100) == b"READY=1\nSTATUS=The agent listens."
        async with Supervisor("test", SystemClock()) as tasks:
            tasks.run("watchdog", lambda: manager.run(SystemClock()))
            for _ in range(3):
                assert await asyncio.to_thread(ear.recv, 100) == b"WATCHDOG=1"
        manager.stopping()
        said = b""
        while said != b"STOPPING=1":  # signs of life may still wait before it
            said = ear.recv(100)


def test_without_systemd_nothing_is_said_and_nothing_fails(tmp_path: Path) -> None:
    service_manager({}).ready("x")
    ServiceManager(str(tmp_path / "nobody listens")).ready("x")
    assert service_manager({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"})._watchdog == 0
