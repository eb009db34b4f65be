"""Hard disk limits on real file systems: the kernel stops a game at the byte, and everything around that."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from agent.filesystem.disks import Disks
from agent.filesystem.hard_quota import HardQuota
from agent.filesystem.method import best_method
from agent.filesystem.project_calls import without_privilege
from agent.filesystem.quota import MEBIBYTE
from agent.filesystem.volume import Volume
from agent.runtime.docker import DockerRuntime
from agent.server.server import Server
from core.clock import SystemClock
from core.config import AgentConfig
from core.errors import AerieError
from core.protocol.settings import ServerConfiguration
from core.supervise import Supervisor
from core.vocabulary import PowerSignal, ServerState
from tests.real.loop_images import MAKERS, mounted
from tests.real.places import opened_up

pytestmark = pytest.mark.real

SLACK = 64 * 1024
"""What a file system's own records of a few files may take of a limit."""
GAME = r"""
echo ready
while read line; do
  case "$line" in
    end) exit 0 ;;
    fill) LC_ALL=C dd if=/dev/zero of=/home/container/big bs=4096 count=100000 oflag=append conv=notrunc 2>&1; echo filled ;;
  esac
done
"""


@pytest.fixture(scope="module", params=list(MAKERS))
def disk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of each kind; the folder in it is that of all servers."""
    with mounted(request.param, tmp_path_factory.mktemp("disk")) as place:
        data = place / "volumes"
        data.mkdir()
        yield data


@pytest.fixture
def hard(disk: Path) -> HardQuota:
    method = best_method(disk, disk.parent, "auto")
    assert method.hard is not None, method.why
    return method.hard


def settings(uuid: str, mebibytes: int, image: str = "") -> ServerConfiguration:
    return ServerConfiguration.model_validate(
        {
            "settings": {
                "uuid": uuid,
                "invocation": "bash /home/container/game.sh",
                "crash_detection_enabled": False,
                "container": {"image": image},
                "build": {"disk_space": mebibytes},
            },
            "process_configuration": {"startup": {"done": ["ready"]}, "stop": {"type": "command", "value": "end"}},
        }
    )


class Limited:
    """A server's volume whose limit can be changed."""

    def __init__(self, disk: Path, hard: HardQuota, mebibytes: int) -> None:
        self.limit = mebibytes
        uuid = str(uuid4())
        self.now = 0.0
        self.volume = Volume(disk / uuid, (0, 0), lambda: settings(uuid, self.limit).settings, lambda: self.now, hard, 500)

    def write(self, name: str, size: int) -> int:
        """Bytes that could be written, with no more rights than a game has."""
        done = 0
        with without_privilege(), (self.volume.folder / name).open("wb", buffering=0) as file:
            try:
                while done < size:
                    done += file.write(b"x" * min(4096, size - done))
            except OSError:
                return done
        return done

    def held(self) -> bool:
        """Whether the kernel holds it, once its own count is made: btrfs counts anew after files were taken in."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self.volume.measure()
            if self.volume.held:
                return True
            time.sleep(0.1)
        return False

    def figure(self) -> int:
        """The kernel's, as new as can be."""
        os.sync()
        self.now += 100
        return self.volume.measure()


def test_the_kernel_stops_a_write_at_the_limit_and_a_new_limit_counts_at_once(disk: Path, hard: HardQuota) -> None:
    one, other = Limited(disk, hard, 8), Limited(disk, hard, 4)
    for each in (one, other):
        each.volume.prepare()
    assert 8 * MEBIBYTE - SLACK <= one.write("x", 100 * MEBIBYTE) <= 8 * MEBIBYTE
    assert one.volume.used <= 8 * MEBIBYTE
    assert 8 * MEBIBYTE - SLACK <= one.figure() <= 8 * MEBIBYTE
    assert other.write("x", MEBIBYTE) == MEBIBYTE, "a full neighbour is no hindrance"
    one.limit = 12
    assert one.volume.ask_due
    one.volume.count()
    assert 4 * MEBIBYTE - SLACK <= one.write("y", 100 * MEBIBYTE) <= 4 * MEBIBYTE
    one.limit = 0
    one.volume.count()
    assert one.write("z", 20 * MEBIBYTE) == 20 * MEBIBYTE
    for each in (one, other):
        each.volume.remove()


def test_files_from_before_are_taken_in_as_they_are(disk: Path, hard: HardQuota) -> None:
    server = Limited(disk, hard, 8)
    folder = server.volume.folder
    (folder / "world" / "deep").mkdir(parents=True)
    (folder / "world" / "region").write_bytes(os.urandom(3 * MEBIBYTE))
    os.link(folder / "world" / "region", folder / "again")
    (folder / "link").symlink_to("world/region")
    os.mkfifo(folder / "pipe")
    os.chown(folder / "world", 70123, 70124)
    (folder / "world").chmod(0o2750)
    os.utime(folder / "world" / "region", (1000, 2000))
    os.setxattr(folder / "again", "user.test", b"kept")
    before, inner = (folder / "world" / "region").read_bytes(), (folder / "world").stat()
    assert 3 * MEBIBYTE <= server.volume.measure() <= 3 * MEBIBYTE + SLACK
    assert not server.volume.held
    server.volume.prepare()
    server.volume.prepare()
    region = folder / "world" / "region"
    assert region.read_bytes() == before
    assert region.samefile(folder / "again")
    assert (region.stat().st_nlink, region.stat().st_mtime) == (2, 2000)
    assert os.getxattr(region, "user.test") == b"kept"
    assert (folder / "link").readlink() == Path("world/region")
    after = (folder / "world").stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (inner.st_uid, inner.st_gid, inner.st_mode)
    assert (folder / "pipe").is_fifo()
    assert server.write("new", 100 * MEBIBYTE) <= 5 * MEBIBYTE
    server.volume.remove()
    assert not any(name for name in os.listdir(disk) if name != "lost+found")


def test_files_that_somebody_has_open_are_not_moved(disk: Path, hard: HardQuota) -> None:
    if not hard.moves:
        pytest.skip(f"{hard.name} move nothing")
    server = Limited(disk, hard, 8)
    server.volume.folder.mkdir()
    files = server.volume.open()
    descriptor = files.create(b"open", os.O_WRONLY)
    server.volume.prepare()
    files.write(descriptor, b"still here", 0)
    os.close(descriptor)
    files.close()
    server.volume.prepare()
    assert server.held()
    assert (server.volume.folder / "open").read_bytes() == b"still here"
    server.volume.remove()


def test_sftp_is_told_of_a_full_quota(disk: Path, hard: HardQuota) -> None:
    server = Limited(disk, hard, 4)
    server.volume.prepare()
    files = server.volume.open()
    descriptor = files.create(b"x", os.O_WRONLY)
    try:
        with pytest.raises(AerieError, match="quota"), without_privilege():
            for part in range(100):
                files.write(descriptor, b"y" * MEBIBYTE, part * MEBIBYTE)
        assert os.fstat(descriptor).st_size <= 4 * MEBIBYTE
    finally:
        os.close(descriptor)
        files.close()
        server.volume.remove()


def test_another_agent_finds_it_and_a_deleted_server_gives_it_back(disk: Path, hard: HardQuota) -> None:
    server = Limited(disk, hard, 4)
    server.volume.prepare()
    again = best_method(disk, disk.parent, "auto").hard
    assert again is not None
    assert again.holds(server.volume.folder)
    server.volume.remove()
    assert not again.holds(server.volume.folder)
    assert not server.volume.folder.exists()
    os.sync()
    later = best_method(disk, disk.parent, "auto").hard
    assert later is not None
    if (kept := disk.parent / "projects.json").exists():
        assert server.volume.folder.name not in kept.read_text()


def test_a_game_cannot_leave_its_limit_by_a_subvolume_of_its_own(disk: Path, hard: HardQuota) -> None:
    btrfs = shutil.which("btrfs")
    if not hard.moves or btrfs is None:
        pytest.skip("only btrfs has subvolumes")
    server = Limited(disk, hard, 8)
    server.volume.prepare()
    subprocess.run([btrfs, "subvolume", "create", str(server.volume.folder / "nest")], check=True, capture_output=True)
    subprocess.run([btrfs, "subvolume", "create", str(server.volume.folder / "nest" / "egg")], check=True, capture_output=True)
    server.figure()
    assert server.write("nest/egg/x", 100 * MEBIBYTE) <= 8 * MEBIBYTE
    server.volume.remove()
    assert not server.volume.folder.exists()


async def until(holds: Callable[[], bool], within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.05)


def agent_config(docker_host: str, root: Path, data: Path, **system: object) -> AgentConfig:
    return AgentConfig.model_validate(
        {
            "docker": {"host": docker_host, "network": f"aerie_test_{uuid4().hex[:8]}", "network_subnet": ""},
            "system": {"root_directory": root, "data": data, **system},
            "power": {"stop_timeout": 10.0, "ready_timeout": 20.0},
        }
    )


class Game:
    """A game in a container, with a disk limit."""

    def __init__(self, image: str, mebibytes: int) -> None:
        self.uuid, self.image = str(uuid4()), image
        self.wanted = settings(self.uuid, mebibytes, image)

    async def refresh(self, _: str) -> ServerConfiguration:
        return self.wanted

    @asynccontextmanager
    async def running(self, config: AgentConfig) -> AsyncIterator[Server]:
        runtime = DockerRuntime(config, SystemClock())
        await runtime.open()
        try:
            async with Supervisor("test") as tasks:
                disks = Disks(config.system, SystemClock(), tasks)
                await disks.open()
                server = Server(self.wanted, runtime, config, SystemClock(), tasks, self.refresh, disks=disks)
                tasks.run("disks", disks.follow)
                server.folder.mkdir(parents=True)
                (server.folder / "game.sh").write_text(GAME)
                server.power(PowerSignal.START)
                await until(lambda: server.state is ServerState.RUNNING, 60)
                yield server
                server.power(PowerSignal.KILL)
                await until(lambda: server.state is ServerState.OFFLINE, 60)
                await server.destroy()
                await asyncio.to_thread(server.volume.remove)
                disks.close()
        finally:
            await runtime.destroy(self.uuid)
            await runtime.forget(self.uuid)
            network = await runtime.docker.networks.get(config.docker.network)
            await network.delete()
            await runtime.close()


async def fill(server: Server) -> str:
    """Have the game write all it can; what the console says then."""

    def filled() -> int:
        return len([line for line in server.console.history(500) if line == "filled"])

    before = filled()
    await server.command("fill")
    await until(lambda: filled() > before, 60)
    return "\n".join(server.console.history(500))


async def test_quo_4_a_game_in_a_container_is_stopped_at_the_byte(
    disk: Path, docker_host: str, tmp_path: Path, demo_images: dict[str, str]
) -> None:
    game = Game(next(iter(demo_images.values())), 8)
    async with game.running(agent_config(docker_host, tmp_path, disk)) as server:
        big = server.folder / "big"
        said = await fill(server)
        assert "No space left on device" in said or "Disk quota exceeded" in said
        assert 8 * MEBIBYTE - 2 * SLACK <= big.stat().st_size <= 8 * MEBIBYTE
        assert server.state is ServerState.RUNNING, "the kernel refuses; nobody needs to stop it"
        game.wanted = settings(game.uuid, 16, game.image)
        await server.sync(game.wanted)
        await until(lambda: not server.volume.ask_due)
        await fill(server)
        assert 16 * MEBIBYTE - 2 * SLACK <= big.stat().st_size <= 16 * MEBIBYTE


async def test_quo_4_without_a_hard_limit_a_game_is_stopped_soon(docker_host: str, tmp_path: Path, demo_images: dict[str, str]) -> None:
    opened_up(tmp_path)
    game = Game(next(iter(demo_images.values())), 8)
    async with game.running(agent_config(docker_host, tmp_path / "root", tmp_path / "volumes", disk_quota="off")) as server:
        await server.command("fill")
        await until(lambda: server.state is ServerState.OFFLINE)
        assert any("more than its disk limit of 8 MiB" in line for line in server.console.history(500))
        assert server.stats().disk_bytes > 8 * MEBIBYTE
