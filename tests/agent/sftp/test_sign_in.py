"""Who gets in: password and key as the control plane judges them, guessing that is slow and then useless, and who is sent away again."""

import asyncio
from pathlib import Path

import aiohttp
import asyncssh
import pytest

from agent.sftp.attempts import FREE_FAILURES, LONGEST_DELAY, MOST_FOR_A_HOUSEHOLD, MOST_FOR_A_NAME, WINDOW_SECONDS, Attempts
from core.clock import ManualClock
from core.protocol.remote import SftpGrant
from tests.agent.sftp.conftest import ALL, PASSWORD, Bench, bench_with, until


async def test_a_right_password_opens_the_servers_folder(bench: Bench) -> None:
    (bench.folder / "server.properties").write_text("motd=hi")
    async with bench.session() as sftp:
        assert [name for name in await sftp.listdir("/") if name not in (".", "..")] == ["server.properties"]
        assert await sftp.realpath("../../..") == "/"
    asked = bench.panel.sftp_asked[-1]
    assert (asked.type, asked.username, asked.password) == ("password", bench.name, PASSWORD)
    assert asked.ip.startswith("127.0.0.1:")


async def test_a_wrong_password_is_refused(bench: Bench) -> None:
    bench.permit(*ALL)
    with pytest.raises(asyncssh.PermissionDenied):
        async with bench.connect(password="wrong"):
            pass


async def test_a_public_key_opens_it_and_is_asked_about_once(bench: Bench) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    line = key.export_public_key("openssh").decode().strip()
    bench.panel.sftp[bench.name, line] = SftpGrant(user="u", server=bench.uuid, permissions=["*"])
    async with bench.connect(password=None, client_keys=[key]) as connection, connection.start_sftp_client() as sftp:
        await sftp.mkdir("/made")
    assert (bench.folder / "made").is_dir()
    assert [asked.type for asked in bench.panel.sftp_asked] == ["public_key"]


async def test_a_key_that_is_only_shown_does_not_open_anything(bench: Bench) -> None:
    """Whoever knows a public key cannot use it: the control plane says yes, the signature is wrong."""
    key, other = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    line = key.export_public_key("openssh").decode().strip()
    bench.panel.sftp[bench.name, line] = SftpGrant(user="u", server=bench.uuid, permissions=["*"])

    class Client(asyncssh.SSHClient):
        shown = False

        def public_key_auth_requested(self) -> asyncssh.SSHKeyPair | None:
            if self.shown:
                return None
            self.shown = True
            pair = asyncssh.load_keypairs([other])[0]
            pair.public_data = key.public_data  # shows one key, signs with another
            return pair

    with pytest.raises(asyncssh.PermissionDenied):
        async with bench.connect(password=None, client_factory=Client):
            pass
    assert bench.panel.sftp_asked, "the key was not even shown: this test proves nothing"


@pytest.mark.parametrize("name", ["alice", "alice.", "alice.1234", "alice.123456789", ".12345678", "alice.1234567!", "root"])
async def test_a_name_of_another_form_never_reaches_the_control_plane(bench: Bench, name: str) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        async with bench.connect(username=name):
            pass
    assert not bench.panel.sftp_asked


async def test_a_server_that_is_not_here_cannot_be_entered(bench: Bench) -> None:
    bench.panel.sftp[bench.name, PASSWORD] = SftpGrant(user="u", server="11111111-1111-4111-8111-111111111111", permissions=["*"])
    with pytest.raises(asyncssh.PermissionDenied):
        async with bench.connect():
            pass


async def test_a_suspended_server_cannot_be_entered(bench: Bench) -> None:
    bench.permit(*ALL)
    bench.settings(suspended=True)
    with pytest.raises(asyncssh.PermissionDenied):
        async with bench.connect():
            pass


async def test_while_the_control_plane_is_away_nobody_gets_in_and_nothing_breaks(bench: Bench) -> None:
    bench.permit(*ALL)
    bench.panel.status = 500
    with pytest.raises(asyncssh.PermissionDenied):
        async with bench.connect():
            pass
    bench.panel.status = 0
    async with bench.session() as sftp:
        await sftp.stat("/")


async def test_ses_6_wrong_passwords_are_soon_refused_unasked(bench: Bench) -> None:
    async def guess() -> None:
        with pytest.raises((asyncssh.PermissionDenied, asyncssh.DisconnectError)):
            async with bench.connect(password="wrong"):
                pass

    for _ in range(MOST_FOR_A_NAME):
        bench.agent.sftp.attempts.failed("127.0.0.1", bench.name)
    await guess()
    assert not bench.panel.sftp_asked
    bench.permit(*ALL, name=f"bob.{bench.uuid[:8]}")
    async with bench.connect(username=f"bob.{bench.uuid[:8]}"):
        pass  # another name of the same household still gets in


async def test_a_hundred_wrong_passwords_end_the_connection_early(bench: Bench) -> None:
    class Guesser(asyncssh.SSHClient):
        tries = 0

        def password_auth_requested(self) -> str | None:
            Guesser.tries += 1
            return "wrong" if Guesser.tries <= 100 else None

    bench.agent.sftp.attempts.delay = lambda ip, username: 0.0  # type: ignore[method-assign]
    with pytest.raises((asyncssh.PermissionDenied, asyncssh.DisconnectError)):
        async with bench.connect(password=None, client_factory=Guesser):
            pass
    assert Guesser.tries < 10


async def test_failures_are_told_later_and_later_and_forgotten_in_time() -> None:
    clock = ManualClock()
    attempts = Attempts(clock)
    for _ in range(FREE_FAILURES):
        attempts.failed("203.0.113.9", "a.12345678")
    assert attempts.delay("203.0.113.9", "a.12345678") == 0
    delays = []
    for _ in range(MOST_FOR_A_NAME - FREE_FAILURES):
        assert not attempts.exhausted("203.0.113.9", "a.12345678")
        attempts.failed("203.0.113.9", "a.12345678")
        delays.append(attempts.delay("203.0.113.9", "a.12345678"))
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY
    assert attempts.exhausted("203.0.113.9", "a.12345678")
    assert attempts.exhausted("::ffff:203.0.113.9", "a.12345678")
    assert not attempts.exhausted("203.0.113.10", "a.12345678"), "somebody else's failures lock nobody out"
    await clock.advance(WINDOW_SECONDS + 1)
    assert not attempts.exhausted("203.0.113.9", "a.12345678")


async def test_a_household_that_tries_many_names_is_refused_too() -> None:
    attempts = Attempts(ManualClock())
    for number in range(MOST_FOR_A_HOUSEHOLD):
        attempts.failed(f"2001:db8::{number:x}", f"a{number}.12345678")
    assert attempts.exhausted("2001:db8::ffff", "fresh.12345678")
    assert not attempts.exhausted("2001:db8:0:1::1", "fresh.12345678")


async def test_a_success_forgets_the_names_failures() -> None:
    attempts = Attempts(ManualClock())
    for _ in range(MOST_FOR_A_NAME - 1):
        attempts.failed("203.0.113.9", "a.12345678")
    attempts.succeeded("203.0.113.9", "a.12345678")
    attempts.failed("203.0.113.9", "a.12345678")
    assert not attempts.exhausted("203.0.113.9", "a.12345678")
    assert attempts.delay("203.0.113.9", "a.12345678") == 0


async def test_connections_of_one_household_are_limited(tmp_path: Path, host_key_folder: Path) -> None:
    async with bench_with(tmp_path, host_key_folder, household_connections=2) as bench:
        bench.permit(*ALL)
        async with bench.connect(), bench.connect():
            with pytest.raises((asyncssh.Error, OSError)):
                async with bench.connect():
                    pass
        await until(lambda: not bench.agent.sftp._connections)
        async with bench.connect():
            pass


async def test_ses_5_a_connection_that_never_signs_in_is_ended(tmp_path: Path, host_key_folder: Path) -> None:
    async with bench_with(tmp_path, host_key_folder, login_timeout=0.5) as bench:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.agent.sftp.port)
        async with asyncio.timeout(20):
            assert (await reader.readline()).startswith(b"SSH-2.0-Aerie")
            await reader.read()  # until the server closes it
        writer.close()
        await until(lambda: not bench.agent.sftp._connections)


@pytest.mark.parametrize("weak", [{"encryption_algs": ["aes128-cbc"]}, {"kex_algs": ["diffie-hellman-group1-sha1"]}])
async def test_ses_8_weak_algorithms_are_refused(bench: Bench, weak: dict[str, object]) -> None:
    bench.permit(*ALL)
    with pytest.raises(asyncssh.KeyExchangeFailed):
        async with bench.connect(**weak):
            pass


async def test_ses_8_shells_commands_and_forwarding_are_refused(bench: Bench) -> None:
    bench.permit(*ALL)
    async with bench.connect() as connection:
        for command in ("id", None):
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_process(command)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", bench.agent.sftp.port)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("", 0, "127.0.0.1", 1)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process(subsystem="netconf")


async def test_the_gcm_cipher_is_chosen(bench: Bench) -> None:
    bench.permit(*ALL)
    async with bench.connect(encryption_algs=["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"]) as connection:
        assert connection.get_extra_info("send_cipher") == "aes128-gcm@openssh.com"


async def test_host_keys_are_made_once_and_are_private(bench: Bench, host_key_folder: Path) -> None:
    files = {file.name: file.read_bytes() for file in host_key_folder.iterdir()}
    assert files.keys() == {"ssh_host_ed25519_key", "ssh_host_rsa_key"}
    assert {file.stat().st_mode & 0o777 for file in host_key_folder.iterdir()} == {0o600}


async def test_ses_1_revoked_sessions_end_at_once_and_others_stay(bench: Bench) -> None:
    bench.permit(*ALL)
    bench.permit(*ALL, name=f"bob.{bench.uuid[:8]}", user="u-bob")
    headers = {"Authorization": f"Bearer {bench.panel.token.secret}"}
    async with bench.connect() as hers, bench.connect(username=f"bob.{bench.uuid[:8]}") as his:
        alice, bob = await hers.start_sftp_client(), await his.start_sftp_client()
        file = await alice.open("/x", "wb")
        async with aiohttp.ClientSession(bench.agent.url, headers=headers) as http:
            body = {"user": "u-alice", "servers": [bench.uuid]}
            assert (await http.post("/api/deauthorize-user", json=body)).status == 204
        async with asyncio.timeout(20):
            await hers.wait_closed()
        with pytest.raises((asyncssh.Error, OSError)):
            await file.write(b"too late")
        await bob.stat("/")


async def test_ses_3_a_suspension_ends_the_sessions(bench: Bench) -> None:
    headers = {"Authorization": f"Bearer {bench.panel.token.secret}"}
    bench.permit(*ALL)
    async with bench.connect() as connection:
        sftp = await connection.start_sftp_client()
        await sftp.stat("/")
        raw = bench.panel.servers[bench.uuid].model_copy(deep=True)
        raw.settings.suspended = True
        bench.panel.servers[bench.uuid] = raw
        async with aiohttp.ClientSession(bench.agent.url, headers=headers) as http:
            assert (await http.post(f"/api/servers/{bench.uuid}/sync")).status == 204
        async with asyncio.timeout(20):
            await connection.wait_closed()


async def test_ses_3_a_deleted_server_is_left_by_everybody(bench: Bench) -> None:
    headers = {"Authorization": f"Bearer {bench.panel.token.secret}"}
    bench.permit(*ALL)
    async with bench.connect() as connection:
        sftp = await connection.start_sftp_client()
        async with aiohttp.ClientSession(bench.agent.url, headers=headers) as http:
            assert (await http.delete(f"/api/servers/{bench.uuid}")).status == 204
        with pytest.raises((asyncssh.Error, OSError)):
            async with asyncio.timeout(20):
                await sftp.stat("/")
        async with asyncio.timeout(20):
            await connection.wait_closed()


async def test_an_idle_session_ends(tmp_path: Path, host_key_folder: Path) -> None:
    async with bench_with(tmp_path, host_key_folder, idle_timeout=0.5) as bench:
        bench.permit(*ALL)
        async with bench.connect() as connection:
            await connection.start_sftp_client()
            async with asyncio.timeout(30):
                await connection.wait_closed()
        await until(lambda: bench.agent.sftp.sessions == 0)


async def test_ses_3_a_server_that_is_being_installed_is_left_alone(bench: Bench) -> None:
    bench.permit(*ALL)
    async with bench.connect() as connection:
        sftp = await connection.start_sftp_client()
        bench.agent.manager.get(bench.uuid).end_installation = lambda why: None
        with pytest.raises((asyncssh.Error, OSError)):
            async with asyncio.timeout(20):
                await sftp.stat("/")
        with pytest.raises(asyncssh.PermissionDenied):
            async with bench.connect():
                pass
    bench.agent.manager.get(bench.uuid).end_installation = None
