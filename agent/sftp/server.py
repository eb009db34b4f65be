"""The node's SFTP server: listens, admits, watches its sessions, and ends those whose person or server lost the right to them.

Knows the servers through `find` alone. Must never read a file itself; see agent/filesystem.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import asyncssh

from agent.server.server import Server
from agent.sftp.attempts import Attempts
from agent.sftp.grant import Grant
from agent.sftp.host_keys import host_keys
from agent.sftp.ledger import Ledger, Tell
from agent.sftp.session import Session, Surroundings
from agent.sftp.sign_in import Judge, SignIn
from agent.sftp.transport import Connection
from core.addresses import household
from core.clock import Clock
from core.config import AgentConfig
from core.errors import AerieError, NotConfigured, ServerBusy, ServerSuspended
from core.protocol.remote import SftpGrant
from core.supervise import Supervisor

log = logging.getLogger(__name__)

CIPHERS = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr", "aes128-ctr"]
"""The first is the fastest here by far; a client that prefers another gets it."""
KEY_EXCHANGES = [
    "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "diffie-hellman-group16-sha512",
]  # fmt: skip
MACS = ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256"]
SIGNATURES = [
    "ssh-ed25519", "sk-ssh-ed25519@openssh.com", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com", "rsa-sha2-512", "rsa-sha2-256",
]  # fmt: skip
"""Of people's keys; RSA with SHA-1 is not among them."""
WINDOW = 4 * 1024 * 1024
"""Bytes a client may send ahead on one channel."""
LARGEST_SSH_PACKET = 252 * 1024
"""Just under what OpenSSH sends in one packet."""
THREADS = 16
WATCH_SECONDS = 5.0
CLOSE_SECONDS = 5.0
"""What connections are given to end by themselves."""
SIGN_IN_AGAIN = "Your access was changed: sign in again."


class SftpServer:
    """`start` it, `close` it. `find` answers a server by uuid or raises NotFound."""

    def __init__(
        self, config: AgentConfig, find: Callable[[str], Server], judge: Judge, tell: Tell, clock: Clock, tasks: Supervisor
    ) -> None:
        self.attempts = Attempts(clock)
        self.clock = clock
        self.judge = judge
        self.port = 0
        """Where it listens, once started."""
        self._config = config
        self._find = find
        self._tasks = tasks
        self._ledger = Ledger(clock, tell)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sftp")
        self._around = Surroundings(self._pool, clock, config.sftp.read_only, self._stands, self._ledger.note)
        self._connections: dict[asyncssh.SSHServerConnection, str] = {}
        self._guests: dict[asyncssh.SSHServerConnection, SignIn] = {}
        self._sessions: set[Session] = set()
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Raises NotConfigured when the port or a host key cannot be used."""
        settings, system = self._config.sftp, self._config.system
        logging.getLogger("asyncssh").setLevel(logging.WARNING)
        keys = await asyncio.to_thread(host_keys, system.root_directory / "sftp", system.data / ".sftp" / "id_ed25519")
        loop, options = asyncio.get_running_loop(), self._options(keys)
        try:
            self._listener = await loop.create_server(lambda: Connection(loop, options), settings.host, settings.port)
        except OSError as error:
            raise NotConfigured(
                f"SFTP cannot listen on {settings.host}:{settings.port}: {error.strerror}.",
                hint="Stop what uses that port, or set another port in [sftp].",
            ) from error
        self.port = self._listener.sockets[0].getsockname()[1]
        self._tasks.run("sftp watch", self._watch)
        log.info("SFTP listens on %s:%d", settings.host, self.port)

    async def close(self) -> None:
        """End all sessions; what was done is still told."""
        if self._listener is not None:
            self._listener.close()
            for connection in list(self._connections):
                connection.disconnect(asyncssh.DISC_BY_APPLICATION, "The agent is ending.")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._listener.wait_closed()
        await asyncio.to_thread(self._pool.shutdown)
        await self._ledger.send_all()

    def end_sessions(self, user_uuid: str, server_uuids: Sequence[str] = (), reason: str = SIGN_IN_AGAIN) -> None:
        """End the sessions of one person (or, with an empty uuid, of everybody) on these servers, or on all when none is named."""
        for session in list(self._sessions):
            if user_uuid in ("", session.grant.user) and (not server_uuids or session.grant.server in server_uuids):
                session.end(reason)
        for connection, guest in list(self._guests.items()):
            if guest.forget(user_uuid, server_uuids):
                connection.disconnect(asyncssh.DISC_BY_APPLICATION, reason)

    @property
    def sessions(self) -> int:
        """How many are open."""
        return len(self._sessions)

    def _options(self, keys: list[asyncssh.SSHKey]) -> asyncssh.SSHServerConnectionOptions:
        settings = self._config.sftp
        return asyncssh.SSHServerConnectionOptions(
            server_factory=lambda: SignIn(self), server_host_keys=keys, server_version="Aerie", config=None,
            encoding=None, line_editor=False, allow_pty=False, allow_scp=False, agent_forwarding=False, x11_forwarding=False,
            encryption_algs=CIPHERS, kex_algs=KEY_EXCHANGES, mac_algs=MACS, signature_algs=SIGNATURES, compression_algs=["none"],
            login_timeout=settings.login_timeout, keepalive_interval=settings.keepalive_interval, keepalive_count_max=3,
            window=WINDOW, max_pktsize=LARGEST_SSH_PACKET, gss_host=None, host_based_auth=False, kbdint_auth=False,
        )  # fmt: skip

    # For connections

    def enter(self, connection: asyncssh.SSHServerConnection, ip: str, guest: SignIn) -> bool:
        home, settings = household(ip), self._config.sftp
        mine = sum(1 for other in self._connections.values() if other == home)
        if mine >= settings.household_connections or len(self._connections) >= settings.connections:
            log.warning("SFTP: %s is turned away: %d connections are open from there, %d in all", home, mine, len(self._connections))
            return False
        self._connections[connection], self._guests[connection] = home, guest
        return True

    def leave(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.pop(connection, None)
        self._guests.pop(connection, None)

    def admit(self, grant: SftpGrant) -> Grant:
        made = Grant(grant.user, grant.server, frozenset(grant.permissions))
        self._stands(made)
        return made

    def open(self, grant: Grant, address: str) -> Session:
        session = Session(grant, self._find(grant.server).volume, address, self._around, self._sessions.discard)
        self._sessions.add(session)
        return session

    def _stands(self, grant: Grant) -> None:
        server = self._find(grant.server)
        if server.suspended:
            raise ServerSuspended("The server is suspended.", hint="An administrator can lift the suspension.")
        server.check_held()
        if server.end_installation is not None:
            raise ServerBusy("The server is being installed.", hint="Sign in again when that is done.")

    async def _watch(self) -> None:
        """Look at every session now and then: its server may be gone or suspended, its client asleep, its count of bytes old."""
        while True:
            await self.clock.sleep(WATCH_SECONDS)
            idle_before = self.clock.monotonic() - self._config.sftp.idle_timeout
            for session in list(self._sessions):
                try:
                    self._stands(session.grant)
                except AerieError as error:
                    session.end(error.message)
                if self._config.sftp.idle_timeout and session.used_at < idle_before:
                    session.end("Nothing was asked for a long time.")
            for volume in {session.volume for session in self._sessions if session.volume.stale}:
                self._tasks.spawn("count files", asyncio.to_thread(volume.count))
            await self._ledger.send_due()
