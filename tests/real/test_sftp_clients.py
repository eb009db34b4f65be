"""The clients people use, against a running agent: OpenSSH's sftp, rclone, lftp upload, list, resume, rename and download."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

from core.protocol.remote import SftpGrant
from tests.agent.sftp.conftest import ALL, PASSWORD, Bench, bench_with, until

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("sftp_clients")]

LIMIT_SECONDS = 50.0
DATA = os.urandom(3 * 1024 * 1024 + 11)


@dataclass
class Ended:
    """How a client ended and what it said."""

    code: int
    words: str


@dataclass
class Client:
    """Runs clients for alice; `home` is her own machine's folder."""

    bench: Bench
    home: Path

    async def run(self, *command: str, say: str = "", **environment: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.home,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C.UTF-8", **environment},
        )
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                out, _ = await process.communicate(say.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(errors="replace"))

    def _ssh(self) -> list[str]:
        return [
            "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={self.home / 'known'}", "-o", "LogLevel=ERROR",
        ]  # fmt: skip

    async def sftp(self, *lines: str) -> Ended:
        """OpenSSH's sftp with alice's key."""
        options = [*self._ssh(), "-o", f"IdentityFile={self.home / 'key'}", "-o", "IdentitiesOnly=yes", "-b", "-"]
        where = ["-P", str(self.bench.agent.sftp.port), f"{self.bench.name}@127.0.0.1"]
        return await self.run("sftp", *options, *where, say="\n".join(lines) + "\n")

    async def sftp_with(self, password: str) -> Ended:
        """OpenSSH's sftp with a password, once."""
        ask = self.home / "ask"
        ask.write_text(f"#!/bin/sh\necho '{password}'\n")
        ask.chmod(0o700)
        options = [*self._ssh(), "-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]
        where = ["-P", str(self.bench.agent.sftp.port), f"{self.bench.name}@127.0.0.1"]
        return await self.run("sftp", *options, *where, say="ls\n", SSH_ASKPASS=str(ask), SSH_ASKPASS_REQUIRE="force", DISPLAY=":0")

    async def rclone(self, *arguments: str) -> Ended:
        hidden = (await self.run("rclone", "obscure", PASSWORD)).words.strip()
        return await self.run(
            "rclone", "--config", "", "--retries", "1", "--low-level-retries", "1", *arguments,
            RCLONE_CONFIG_GAME_TYPE="sftp", RCLONE_CONFIG_GAME_HOST="127.0.0.1", RCLONE_CONFIG_GAME_PORT=str(self.bench.agent.sftp.port),
            RCLONE_CONFIG_GAME_USER=self.bench.name, RCLONE_CONFIG_GAME_PASS=hidden, RCLONE_CONFIG_GAME_SHELL_TYPE="none",
        )  # fmt: skip

    async def lftp(self, *lines: str) -> Ended:
        program = " ".join(["ssh", "-a", "-x", *self._ssh()])
        settings = f'set sftp:connect-program "{program}"; set net:max-retries 1; set net:timeout 20; set cmd:fail-exit true; '
        entry = f"open -u {self.bench.name},'{PASSWORD}' sftp://127.0.0.1:{self.bench.agent.sftp.port}; "
        return await self.run("lftp", "--norc", "-c", settings + entry + "; ".join(lines))


@pytest.fixture
async def client(tmp_path: Path, host_key_folder: Path) -> AsyncIterator[Client]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "world").write_bytes(DATA)
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(home / "key")
    (home / "key").chmod(0o600)
    agent = tmp_path / "agent"
    agent.mkdir()
    async with bench_with(agent, host_key_folder) as bench:
        bench.permit(*ALL)
        line = key.export_public_key("openssh").decode().strip()
        bench.panel.sftp[bench.name, line] = SftpGrant(user="u-alice", server=bench.uuid, permissions=list(ALL))
        yield Client(bench, home)


@pytest.fixture(scope="module")
def host_key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("host-keys")


async def test_openssh_uploads_lists_resumes_renames_and_downloads(client: Client) -> None:
    folder = client.bench.folder
    did = await client.sftp("mkdir saves", "put -p world saves/world", "ls -la saves", "df", "chmod 600 saves/world")
    assert did.code == 0, did.words
    assert "world" in did.words
    assert (folder / "saves" / "world").read_bytes() == DATA
    (folder / "saves" / "world").write_bytes(DATA[:1_000_000])
    (client.home / "back").write_bytes(DATA[:500_000])
    did = await client.sftp("reput world saves/world", "rename saves/world saves/moved", "reget saves/moved back", "ln -s moved saves/link")
    assert did.code == 0, did.words
    assert (folder / "saves" / "moved").read_bytes() == DATA
    assert (client.home / "back").read_bytes() == DATA
    assert (folder / "saves" / "link").readlink() == Path("moved")
    did = await client.sftp("get -r saves taken", "rm saves/*", "rmdir saves")
    assert did.code == 0, did.words
    assert (client.home / "taken" / "moved").read_bytes() == DATA
    assert not list(folder.iterdir())


async def test_rclone_uploads_lists_renames_checks_and_downloads(client: Client) -> None:
    tree = client.home / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    for number in range(30):
        (tree / "deep" / f"file {number}").write_bytes(os.urandom(1000 + number))
    (tree / "deep" / "er" / "world").write_bytes(DATA)
    os.utime(tree / "deep" / "er" / "world", (1_000_000_000, 1_000_000_000))
    did = await client.rclone("copy", "tree", "game:copied")
    assert did.code == 0, did.words
    for arguments in (["check", "--download", "tree", "game:copied"], ["moveto", "game:copied", "game:moved"], ["lsf", "-R", "game:moved"]):
        did = await client.rclone(*arguments)
        assert did.code == 0, did.words
    assert "deep/file 29" in did.words
    world = client.bench.folder / "moved" / "deep" / "er" / "world"
    assert world.read_bytes() == DATA
    assert world.stat().st_mtime == 1_000_000_000
    did = await client.rclone("copy", "game:moved", "taken")
    assert did.code == 0, did.words
    assert (client.home / "taken" / "deep" / "er" / "world").read_bytes() == DATA
    did = await client.rclone("purge", "game:moved")
    assert did.code == 0, did.words


async def test_lftp_uploads_lists_resumes_renames_and_downloads(client: Client) -> None:
    did = await client.lftp("mkdir saves", "put world -o saves/world", "cls -l saves")
    assert did.code == 0, did.words
    assert "world" in did.words
    world = client.bench.folder / "saves" / "world"
    assert world.read_bytes() == DATA
    world.write_bytes(DATA[:1_000_000])
    (client.home / "back").write_bytes(DATA[:500_000])
    did = await client.lftp("put -c world -o saves/world", "mv saves/world saves/moved", "get -c saves/moved -o back", "rm saves/moved")
    assert did.code == 0, did.words
    assert (client.home / "back").read_bytes() == DATA
    assert not list((client.bench.folder / "saves").iterdir())


async def test_a_right_password_opens_and_a_wrong_one_does_not(client: Client) -> None:
    assert (await client.sftp_with(PASSWORD)).code == 0
    did = await client.sftp_with("wrong")
    assert did.code != 0
    assert "Permission denied" in did.words


async def test_a_revoked_session_ends_under_the_client(client: Client) -> None:
    listing = asyncio.ensure_future(client.sftp(*(["ls"] * 3), "!while [ ! -e go ]; do sleep 0.05; done", "ls"))
    await until(lambda: client.bench.agent.sftp.sessions == 1, LIMIT_SECONDS)
    client.bench.agent.sftp.end_sessions("u-alice", [client.bench.uuid])
    (client.home / "go").touch()
    did = await listing
    assert did.code != 0
    await until(lambda: client.bench.agent.sftp.sessions == 0)


async def test_a_full_disk_limit_is_told_in_words(client: Client) -> None:
    client.bench.settings(build={"disk_space": 2})
    did = await client.sftp("put world")  # OpenSSH shows a server's words only when it is asked to be verbose
    assert did.code != 0
    assert "Failure" in did.words
    did = await client.lftp("put world")
    assert did.code != 0
    assert "quota exceeded" in did.words
    did = await client.sftp("rm world", "ls")
    assert did.code == 0, did.words


async def test_what_the_egg_keeps_to_itself_stays_so(client: Client) -> None:
    (client.bench.folder / "host.conf").write_text("host")
    client.bench.settings(egg={"file_denylist": ["*.conf"]})
    for line in ("get host.conf", "rm host.conf", "rename host.conf free", "put world new.conf"):
        did = await client.sftp(line)
        assert did.code != 0, line
        assert not (client.home / "host.conf").exists()
    assert os.listdir(client.bench.folder) == ["host.conf"]
