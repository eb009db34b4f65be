"""What a session can do, and what it is told when it cannot: over the wire, with asyncssh's client."""

import asyncio
import os
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh
import pytest

from agent.sftp import packets
from agent.sftp.handles import MOST_HANDLES
from agent.sftp.packets import APPEND, CREATE, EXCLUSIVE, TRUNCATE, WRITE
from agent.sftp.server import SftpServer
from core.clock import SystemClock
from core.supervise import Supervisor
from tests.agent.sftp.conftest import ALL, PASSWORD, Bench, bench_with, until

MIB = 1024 * 1024


async def link(sftp: asyncssh.SFTPClient, target: str, path: str) -> None:
    """OpenSSH's order of the two, which asyncssh turns round for servers of another name."""
    await sftp.symlink(path, target)


async def test_a_file_goes_up_and_comes_down_the_same(bench: Bench) -> None:
    data = os.urandom(5 * MIB + 17)
    async with bench.session() as sftp:
        async with sftp.open("/world.dat", "wb") as file:
            await file.write(data)
        assert (bench.folder / "world.dat").read_bytes() == data
        async with sftp.open("world.dat", "rb") as file:
            came: object = await file.read()
            assert came == data


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"])
async def test_each_cipher_carries_data_through_new_keys(bench: Bench, cipher: str) -> None:
    """The client wants new keys after each megabyte, in the middle of everything."""
    data = os.urandom(4 * MIB + 5)
    (bench.folder / "there").write_bytes(data)
    bench.permit(*ALL)
    async with bench.connect(encryption_algs=[cipher], rekey_bytes=MIB) as connection, connection.start_sftp_client() as sftp:
        async with sftp.open("/there", "rb") as file:
            came: object = await file.read()
        assert came == data
        async with sftp.open("/sent", "wb") as file:
            await file.write(data)
    assert (bench.folder / "sent").read_bytes() == data


async def test_the_server_too_can_ask_for_new_keys(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    options = SftpServer._options

    def eager(self: SftpServer, keys: list[asyncssh.SSHKey]) -> asyncssh.SSHServerConnectionOptions:
        return asyncssh.SSHServerConnectionOptions(options(self, keys), rekey_bytes=MIB)

    data = os.urandom(5 * MIB)
    (bench.folder / "there").write_bytes(data)
    monkeypatch.setattr(SftpServer, "_options", eager)
    await bench.agent.sftp.close()
    fresh = SftpServer(
        bench.config,
        bench.agent.manager.get,
        bench.agent.sftp.judge,
        bench.agent.sftp._ledger._tell,
        SystemClock(),
        tasks := Supervisor("t"),
    )
    await fresh.start()
    bench.permit(*ALL)
    async with (
        asyncssh.connect(
            "127.0.0.1", fresh.port, username=bench.name, password=PASSWORD, known_hosts=None, client_keys=None, config=None
        ) as connection,
        connection.start_sftp_client() as sftp,
        sftp.open("/there", "rb") as file,
    ):
        came: object = await file.read()
    assert came == data
    await fresh.close()
    await tasks.close()


async def test_an_interrupted_upload_is_resumed(bench: Bench) -> None:
    async with bench.session() as sftp:
        async with sftp.open("/x", "wb") as file:
            await file.write(b"first half, ")
        async with sftp.open("/x", WRITE, encoding=None) as file:
            await file.write(b"second half", 12)
        async with sftp.open("/x", WRITE | APPEND, encoding=None) as file:
            await file.write(b"!", 0)
    assert (bench.folder / "x").read_bytes() == b"first half, second half!"


async def test_opening_to_write_keeps_what_is_there_unless_told_to_cut(bench: Bench) -> None:
    (bench.folder / "x").write_bytes(b"old text")
    async with bench.session() as sftp:
        async with sftp.open("/x", WRITE | CREATE, encoding=None) as file:
            await file.write(b"new", 0)
        assert (bench.folder / "x").read_bytes() == b"new text"
        async with sftp.open("/x", WRITE | TRUNCATE, encoding=None):
            pass
        assert (bench.folder / "x").read_bytes() == b""
        with pytest.raises(asyncssh.SFTPFailure, match="is there already"):
            await sftp.open("/x", WRITE | CREATE | EXCLUSIVE, encoding=None)
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.open("/nothing", WRITE, encoding=None)


async def test_names_change_and_go(bench: Bench) -> None:
    async with bench.session() as sftp:
        await sftp.mkdir("/d")
        async with sftp.open("/d/a", "w") as file:
            await file.write("a")
        async with sftp.open("/d/b", "w") as file:
            await file.write("b")
        with pytest.raises(asyncssh.SFTPFailure):
            await sftp.rename("/d/a", "/d/b")
        await sftp.posix_rename("/d/a", "/d/b")
        assert (bench.folder / "d" / "b").read_text() == "a"
        with pytest.raises(asyncssh.SFTPFailure, match="not empty"):
            await sftp.rmdir("/d")
        await link(sftp, "b", "/d/link")
        assert await sftp.readlink("/d/link") == "b"
        await sftp.link("/d/b", "/d/second")
        for name in ("b", "link", "second"):
            await sftp.remove(f"/d/{name}")
        await sftp.rmdir("/d")
    assert not list(bench.folder.iterdir())


async def test_times_and_modes_are_kept_and_owners_and_setuid_are_not(bench: Bench) -> None:
    (bench.folder / "x").write_text("x")
    before = (bench.folder / "x").stat()
    async with bench.session() as sftp:
        await sftp.utime("/x", (1_000_000, 2_000_000))
        await sftp.chmod("/x", 0o4711)
        await sftp.chown("/x", 0, 0)
        await sftp.truncate("/x", 10)
        shown = await sftp.stat("/x")
    facts = (bench.folder / "x").stat()
    assert (facts.st_size, facts.st_mode & 0o7777) == (10, 0o711)
    assert (facts.st_uid, facts.st_gid) == (before.st_uid, before.st_gid)
    assert shown.size == 10
    async with bench.session() as sftp:
        await sftp.utime("/x", (1_000_000, 2_000_000))
    assert (bench.folder / "x").stat().st_mtime == 2_000_000


async def test_nothing_outside_can_be_reached(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (bench.folder / "link").symlink_to(tmp_path / "secret")
    (bench.folder / "up").symlink_to("..")
    async with bench.session() as sftp:
        for path in ("/link", "/up/../secret", "/../../secret", str(tmp_path / "secret"), "/up"):
            with pytest.raises((asyncssh.SFTPPermissionDenied, asyncssh.SFTPNoSuchFile)) as refused:
                await sftp.open(path, "rb")
            assert str(tmp_path) not in str(refused.value)
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await sftp.listdir("/up")
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await link(sftp, "../../secret", "/mine")


CASES: dict[str, tuple[str, Callable[[asyncssh.SFTPClient], Awaitable[object]]]] = {
    "list": ("file.read", lambda sftp: sftp.listdir("/")),
    "stat": ("file.read", lambda sftp: sftp.stat("/x")),
    "read": ("file.read-content", lambda sftp: sftp.open("/x", "rb")),
    "change": ("file.update", lambda sftp: sftp.open("/x", WRITE, encoding=None)),
    "create": ("file.create", lambda sftp: sftp.open("/new", WRITE | CREATE, encoding=None)),
    "folder": ("file.create", lambda sftp: sftp.mkdir("/folder")),
    "link": ("file.create", lambda sftp: link(sftp, "x", "/l")),
    "rename": ("file.update", lambda sftp: sftp.rename("/x", "/y")),
    "mode": ("file.update", lambda sftp: sftp.chmod("/x", 0o600)),
    "remove": ("file.delete", lambda sftp: sftp.remove("/x")),
    "rmdir": ("file.delete", lambda sftp: sftp.rmdir("/d")),
}


@pytest.mark.parametrize("case", CASES)
async def test_each_operation_needs_its_permission(bench: Bench, case: str) -> None:
    needed, act = CASES[case]
    (bench.folder / "x").write_text("x")
    (bench.folder / "d").mkdir()
    async with bench.session(*(key for key in ALL if key != needed), "websocket.connect") as sftp:
        with pytest.raises(asyncssh.SFTPPermissionDenied, match=f"lack the permission {needed}"):
            await act(sftp)
    assert sorted(os.listdir(bench.folder)) == ["d", "x"]
    async with bench.session(needed) as sftp:
        await act(sftp)


async def test_a_new_file_can_be_finished_by_who_may_only_create(bench: Bench) -> None:
    async with bench.session("file.create") as sftp, sftp.open("/new", WRITE | CREATE, encoding=None) as file:
        await file.write(b"all of it", 0)
        await file.utime((5, 6))
    assert (bench.folder / "new").stat().st_mtime == 6


async def test_everything_may_be_done_with_a_star(bench: Bench) -> None:
    async with bench.session("*") as sftp:
        await sftp.mkdir("/d")
        await sftp.rmdir("/d")


async def test_a_read_only_node_lets_nobody_write(tmp_path: Path, host_key_folder: Path) -> None:
    async with bench_with(tmp_path, host_key_folder, read_only=True) as bench, bench.session("*") as sftp:
        (bench.folder / "x").write_text("x")
        for act in (sftp.mkdir("/d"), sftp.remove("/x"), sftp.open("/x", "wb"), sftp.rename("/x", "/y"), sftp.chmod("/x", 0o600)):
            with pytest.raises(asyncssh.SFTPOpUnsupported, match="read-only"):
                await act
        async with sftp.open("/x", "rb") as file:
            came: object = await file.read()
            assert came == b"x"


async def test_quo_2_the_disk_limit_holds_while_writing(bench: Bench) -> None:
    bench.settings(build={"disk_space": 1})
    (bench.folder / "there").write_bytes(b"x" * (MIB // 2))
    bench.agent.manager.get(bench.uuid).volume.count_soon()  # it came past every door
    async with bench.session() as sftp:
        with pytest.raises(asyncssh.SFTPFailure, match="quota exceeded"):
            async with sftp.open("/x", "wb") as file:
                await file.write(b"y" * MIB)
        space = await sftp.statvfs("/")
        assert space.blocks * space.frsize == MIB
        await sftp.remove("/x")
        await sftp.remove("/there")
        async with sftp.open("/x", "wb") as file:
            await file.write(b"y" * MIB)
    assert (bench.folder / "x").stat().st_size == MIB


async def test_den_3_the_denylist_is_the_one_of_now(bench: Bench) -> None:
    (bench.folder / "host.conf").write_text("host")
    async with bench.session() as sftp:
        await sftp.stat("/host.conf")
        bench.settings(egg={"file_denylist": ["*.conf"]})
        for act in (sftp.stat("/host.conf"), sftp.remove("/host.conf"), sftp.rename("/host.conf", "/x"), sftp.open("/new.conf", "wb")):
            with pytest.raises(asyncssh.SFTPPermissionDenied, match="managed by the server's egg"):
                await act
    assert os.listdir(bench.folder) == ["host.conf"]


async def test_a_large_folder_is_listed_whole(bench: Bench) -> None:
    for number in range(5000):
        (bench.folder / f"f{number}").touch()
    async with bench.session() as sftp:
        names = await sftp.listdir("/")
    assert len([name for name in names if name.startswith("f")]) == 5000


async def test_many_handles_are_refused_and_closing_makes_room(bench: Bench) -> None:
    (bench.folder / "x").write_text("x")
    async with bench.session() as sftp:
        opened = [await sftp.open("/x", "rb") for _ in range(MOST_HANDLES)]
        with pytest.raises(asyncssh.SFTPFailure, match="Close some first"):
            await sftp.open("/x", "rb")
        await opened[0].close()
        await sftp.open("/x", "rb")


async def test_descriptors_do_not_leak(bench: Bench) -> None:
    (bench.folder / "x").write_text("x")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        bench.permit(*ALL)
        async with bench.connect() as connection:
            sftp = await connection.start_sftp_client()
            await sftp.open("/x", "rb")  # left open on purpose
            await sftp.listdir("/")
    await until(lambda: bench.agent.sftp.sessions == 0 and len(os.listdir("/proc/self/fd")) <= before + 1)


async def test_what_was_done_is_told_to_the_control_plane(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.outbox.ACTIVITY_SECONDS", 0.1)
    async with bench.session() as sftp:
        await sftp.mkdir("/d")
        for name in ("a", "b"):
            async with sftp.open(f"/d/{name}", "wb") as file:
                await file.write(b"x")
        async with sftp.open("/d/a", "wb") as file:
            await file.write(b"y")
        await sftp.rename("/d/a", "/d/c")
        await sftp.remove("/d/b")
    await until(lambda: bench.agent.sftp.sessions == 0)
    await bench.agent.sftp._ledger.send_all()
    await until(lambda: len(bench.panel.activity) == 5)
    told = {entry.event: entry for entry in bench.panel.activity}
    assert told["server:sftp.create-directory"].metadata == {"files": ["/d"]}
    assert told["server:sftp.create"].metadata == {"files": ["/d/a", "/d/b"]}
    assert told["server:sftp.write"].metadata == {"files": ["/d/a"]}
    assert told["server:sftp.rename"].metadata == {"files": [{"from": "/d/a", "to": "/d/c"}]}
    assert told["server:sftp.delete"].metadata == {"files": ["/d/b"]}
    assert {(entry.user, entry.server, entry.ip) for entry in told.values()} == {("u-alice", bench.uuid, "127.0.0.1")}


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\0\0\0\0", b"\xff\xff\xff\xff", struct.pack(">I", packets.LARGEST_PACKET + 1), b"\0\0\0\1\3", b"\0\0\0\3\3\0\0",
    ],
    ids=["empty", "huge", "too large", "no request id", "half a request id"],
)  # fmt: skip
async def test_ses_5_a_packet_that_is_none_ends_the_session_and_nothing_else(bench: Bench, nonsense: bytes) -> None:
    bench.permit(*ALL)
    async with bench.connect() as connection:
        channel, _reader, _errors = await connection.open_session(subsystem="sftp", encoding=None)
        channel.write(nonsense)
        async with asyncio.timeout(20):
            await connection.wait_closed()
    async with bench.session() as sftp:
        await sftp.stat("/")


async def test_ses_5_requests_that_end_too_early_or_are_unknown_are_answered(bench: Bench) -> None:
    bench.permit(*ALL)
    async with bench.connect() as connection:
        channel, reader, _ = await connection.open_session(subsystem="sftp", encoding=None)
        for kind in (*range(3, 21), 77, 200):
            body = bytes((kind,)) + b"\0\0\0\7" + b"\xff\xff\xff\xff"
            channel.write(struct.pack(">I", len(body)) + body)
            async with asyncio.timeout(20):
                length = struct.unpack(">I", await reader.readexactly(4))[0]
                answer = await reader.readexactly(length)
            assert answer[0] == packets.Kind.STATUS
            assert struct.unpack(">II", answer[1:9])[1] in (packets.Status.BAD_MESSAGE, packets.Status.OP_UNSUPPORTED), kind


async def test_many_sessions_work_at_the_same_time(tmp_path: Path, host_key_folder: Path) -> None:
    async with bench_with(tmp_path, host_key_folder) as bench:
        bench.permit(*ALL)
        async with bench.connect() as connection:

            async def one(number: int) -> None:
                async with connection.start_sftp_client() as sftp, sftp.open(f"/f{number}", "wb") as file:
                    await file.write(bytes([number]) * 300_000)

            async with asyncio.timeout(40):
                await asyncio.gather(*(one(number) for number in range(10)))
        assert [(bench.folder / f"f{n}").read_bytes() for n in range(10)] == [bytes([n]) * 300_000 for n in range(10)]
