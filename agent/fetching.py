"""Fetching from the internet for people, without lending them our place in the network.

The address that is really dialled is judged, at the moment it is dialled: names are resolved once, a name that answers something else the
next time gains nothing, odd spellings of an address neither, and every redirect is judged anew. Proxies of the environment are not used,
since they would dial for us. Must never tell an asker why an address was refused: that would make a port scanner of us.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import aiohttp
from yarl import URL

from core.addresses import Network, is_public, networks
from core.agent_settings import PullSection
from core.errors import BadRequest, NotConfigured

log = logging.getLogger(__name__)

MOST_REDIRECTS = 5
CONNECT_SECONDS = 15.0
IDLE_SECONDS = 60.0
TOTAL_SECONDS = 12 * 3600.0
"""Wings' limit for a whole transfer."""
_AGENT = "Aerie"


class NotFetched(BadRequest):
    """It could not be fetched; why stands in the agent's log alone."""

    code = "not_fetched"


def _refused() -> NotFetched:
    return NotFetched("The file could not be fetched from this address.", hint="Check that it can be opened by everybody on the internet.")


@dataclass(frozen=True)
class Fetched:
    """An open answer. `size` is what the sender told, None when it told nothing; `name` what it calls the file."""

    size: int | None
    name: str | None
    type: str
    url_name: str
    """The last part of the address that answered."""
    _response: aiohttp.ClientResponse

    async def chunks(self, most: int) -> AsyncIterator[bytes]:
        """The contents, at most `most` bytes. Raises NotFetched when they are more, stop coming, or are fewer than told."""
        got = 0
        try:
            async for chunk in self._response.content.iter_chunked(1024 * 1024):
                got += len(chunk)
                if got > most or (self.size is not None and got > self.size):
                    raise NotFetched(f"The file has more than the {most // 1024 // 1024} MiB that may be fetched.")
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.info("a fetch from %s broke: %s", self._response.url.host, error)
            raise NotFetched("The file stopped coming before it was complete.", hint="Try again.") from error
        if self.size is not None and got != self.size:
            raise NotFetched("The file stopped coming before it was complete.", hint="Try again.")


class Fetcher:
    """`ours` are names of machines of our own: they are not asked, even at public addresses."""

    def __init__(self, settings: PullSection, ours: Sequence[str] = (), resolver: aiohttp.abc.AbstractResolver | None = None) -> None:
        """Raises NotConfigured for a network that is none."""
        self._settings = settings
        try:
            self._allowed: list[Network] = networks(settings.allowed_networks)
        except ValueError as error:
            raise NotConfigured(f"[pull] allowed_networks: {error}.", hint="Name addresses or networks such as 192.168.1.0/24.") from error
        self._ours = ours
        self._forbidden: set[str] = set()
        self._resolver = resolver

    @asynccontextmanager
    async def open(self, address: str) -> AsyncIterator[Fetched]:
        """Ask for `address`, following at most five redirects. Raises NotFetched, with one text whatever the reason."""
        self._forbidden = await own_addresses(*self._ours)
        connector = aiohttp.TCPConnector(socket_factory=self._dial, use_dns_cache=False, resolver=self._resolver)
        timeout = aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=IDLE_SECONDS)
        headers = {"Accept-Encoding": "identity", "User-Agent": _AGENT}
        jar = aiohttp.DummyCookieJar()
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=timeout, headers=headers, auto_decompress=False, trust_env=False, cookie_jar=jar
            ) as session,
            self._answer(session, address) as response,
        ):
            yield self._fetched(response)

    @asynccontextmanager
    async def _answer(self, session: aiohttp.ClientSession, address: str) -> AsyncIterator[aiohttp.ClientResponse]:
        url = self._judged(address)
        for _ in range(MOST_REDIRECTS + 1):
            try:
                response = await session.get(url, allow_redirects=False)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                log.info("nothing is fetched from %s: %s", url.host, error)
                raise _refused() from error
            if response.status in (301, 302, 303, 307, 308) and (target := response.headers.get("Location")):
                response.close()
                url = self._judged(target, url)
                continue
            try:
                yield response
            finally:
                response.close()
            return
        log.info("nothing is fetched from %s: it redirects too often", url.host)
        raise _refused()

    def _judged(self, address: str, base: URL | None = None) -> URL:
        """An address that may be asked as far as its text tells; whom it leads to is judged in `_dial`."""
        try:
            url = URL(address) if base is None else base.join(URL(address))
            if url.scheme in ("http", "https") and url.host and url.port in self._settings.ports and "\0" not in address:
                return url.with_user(None).with_fragment(None)
        except ValueError:
            pass
        log.info("nothing is fetched from an address of this form: %.200r", address)
        raise _refused()

    def _dial(self, found: tuple[Any, ...]) -> socket.socket:
        """A socket for an address that aiohttp is about to connect to. Raises OSError for one that may not be asked."""
        family, kind, protocol, _, target = found
        host = str(target[0])
        if not self._open(host):
            raise OSError(f"{host} is not public")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    def _open(self, host: str) -> bool:
        address = ip_address(host.partition("%")[0])
        if any(address in network for network in self._allowed if network.version == address.version):
            return True
        return is_public(host) and host not in self._forbidden

    @staticmethod
    def _fetched(response: aiohttp.ClientResponse) -> Fetched:
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if response.status != 200 or encoding not in ("", "identity"):
            log.info("nothing is fetched from %s: it answers %d (%s)", response.url.host, response.status, encoding)
            raise _refused()
        told = response.content_disposition
        return Fetched(
            size=response.content_length,
            name=told.filename if told is not None else None,
            type=response.content_type,
            url_name=response.url.name,
            _response=response,
        )


async def own_addresses(*hosts: str) -> set[str]:
    """Addresses of these hosts, and of this machine as its own name resolves; what does not resolve is passed over."""
    loop = asyncio.get_running_loop()
    found: set[str] = set()
    for host in (socket.gethostname(), *hosts):
        if host:
            try:
                found |= {str(entry[4][0]) for entry in await loop.getaddrinfo(host, None)}
            except OSError:
                continue
    return found
