"""The agent's client of the control plane's /api/remote, by Wings' rules: retries with back-off, redirects never followed.

Raises ControlPlaneAway, NotFound and NotConfigured; the settings last received are kept on disk, so that servers can be
run while the control plane is away.
"""

import asyncio
import contextlib
import json
import logging
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from pydantic import ValidationError

from agent.credentials import Credentials
from core.agent_settings import RemoteSection
from core.clock import Clock
from core.config import wings_file
from core.errors import AerieError, Forbidden, NotConfigured, NotFound
from core.protocol.backups import UploadUrls
from core.protocol.remote import ACCEPT, InstallScript, RemoteError, ServerEntry, ServerPage, SftpAuth, SftpGrant
from core.protocol.settings import ServerConfiguration, Wire

log = logging.getLogger(__name__)

W = TypeVar("W", bound=Wire)

VERSION = "0.1.0"
FIRST_WAIT, FACTOR, LONGEST_WAIT = 0.5, 1.5, 12.0
"""Seconds between tries (Wings)."""
SIGN_IN = "/sftp/auth"


class ControlPlaneAway(AerieError):
    """The control plane could not be asked."""

    code = "control_plane_away"
    status = 503


class SignInRefused(Forbidden):
    """Name, password or key is not right, or the server may not be used now."""

    code = "sign_in_refused"


class Remote:
    """Typed calls of /api/remote."""

    def __init__(
        self, settings: RemoteSection, credentials: Credentials, clock: Clock, session: aiohttp.ClientSession, cache: Path
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._clock = clock
        self._session = session
        self._cache = cache
        self._kept: dict[str, ServerConfiguration] = {}
        """What the cache holds, as far as it was received by us."""
        self._keeping = asyncio.Lock()

    async def servers(self) -> list[ServerEntry]:
        """Every server of this node. Entries that cannot be read are skipped, with a line in the log."""
        entries: list[ServerEntry] = []
        page, last = 1, 1
        while page <= last:
            query = {"page": str(page), "per_page": str(self._settings.boot_servers_per_page)}
            body = await self._ask("GET", "/servers", query=query)
            try:
                last = ServerPage.model_validate({"meta": body["meta"]}).meta.last_page
                listed = list(body.get("data") or ())
            except (ValidationError, LookupError, TypeError, AttributeError) as error:
                raise self._strange("/servers") from error
            for raw in listed:
                try:
                    entries.append(ServerEntry.model_validate(raw))
                except ValidationError as error:
                    log.warning("a server of the control plane's list cannot be read: %s", error.errors()[0]["msg"])
            page += 1
        await self._remember({entry.uuid: ServerConfiguration.model_validate(entry.model_dump()) for entry in entries})
        return entries

    async def server(self, uuid: str) -> ServerConfiguration:
        """One server's settings, fresh. Raises NotFound when the control plane does not know it."""
        fresh = self._read(ServerConfiguration, await self._ask("GET", f"/servers/{uuid}"), "/servers/…")
        if self._kept.get(uuid) != fresh:
            await self._remember({**self._kept, uuid: fresh})
        return fresh

    async def install_script(self, uuid: str) -> InstallScript:
        return self._read(InstallScript, await self._ask("GET", f"/servers/{uuid}/install"), "/servers/…/install")

    async def backup_urls(self, backup: str, size: int) -> UploadUrls:
        """Where a backup of so many bytes is to be sent in parts. Raises Forbidden and AerieError when the control plane refuses."""
        body = await self._ask("GET", f"/backups/{backup}", query={"size": str(size)})
        return self._read(UploadUrls, body, "/backups/…")

    async def deliver(self, path: str, body: Any) -> int:
        """One try to post something; answers the status. Raises ControlPlaneAway when nothing came back."""
        try:
            limit = aiohttp.ClientTimeout(total=min(10.0, self._settings.timeout))
            url = f"{self._settings.url}/api/remote{path}"
            async with self._session.post(url, json=body, headers=self._headers(), timeout=limit, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise self._away(error) from error

    async def refused(self) -> bool:
        """Whether our token opens nothing any more, unless that cannot be asked now: then it is taken for granted."""
        try:
            await self._once("GET", "/servers", None, {"page": "1", "per_page": "1"})
        except (ControlPlaneAway, NotConfigured):
            return True
        except AerieError:
            return False
        return False

    async def sftp_auth(self, wanted: SftpAuth) -> SftpGrant | None:
        """What somebody who signs in to SFTP may do; None when the control plane refuses, for whatever reason (Wings: any 4xx)."""
        try:
            body = await self._ask("POST", SIGN_IN, wanted.model_dump())
        except SignInRefused:
            return None
        return self._read(SftpGrant, body, SIGN_IN)

    async def reset(self) -> None:
        await self._ask("POST", "/servers/reset")

    def remembered(self) -> dict[str, ServerConfiguration]:
        """Settings as last received, for when the control plane is away."""
        try:
            kept = json.loads(self._cache.read_text(encoding="utf-8"))
            self._kept = {uuid: ServerConfiguration.model_validate(value) for uuid, value in kept.items()}
            return dict(self._kept)
        except (OSError, ValueError):
            return {}

    def forget(self, uuid: str) -> None:
        """A deleted server is not to come back from the cache. Used in a thread."""
        if self._kept.pop(uuid, None) is not None:
            with contextlib.suppress(OSError):
                self._keep(dict(self._kept))

    async def _remember(self, known: dict[str, ServerConfiguration]) -> None:
        """Keep them for an agent that starts while the control plane is away. A disk that does not take them stops nothing."""
        async with self._keeping:
            self._kept = known
            try:
                await asyncio.to_thread(self._keep, known)
            except OSError as error:
                log.error("the settings of the servers cannot be kept in %s: %s", self._cache, error.strerror)

    def _keep(self, known: dict[str, ServerConfiguration]) -> None:
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._cache.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps({uuid: one.model_dump(mode="json") for uuid, one in known.items()}), encoding="utf-8")
        fresh.replace(self._cache)

    def _read(self, kind: type[W], body: Any, path: str) -> W:
        try:
            return kind.model_validate(body)
        except ValidationError as error:
            raise self._strange(path) from error

    def _strange(self, path: str) -> ControlPlaneAway:
        return ControlPlaneAway(
            f"The control plane at {self._settings.url} answers {path} in a form that this agent cannot read.",
            hint="Check that [remote] url is the control plane's address.",
        )

    async def _ask(self, method: str, path: str, body: Any = None, query: dict[str, str] | None = None) -> Any:
        """One call, tried again for up to `timeout` seconds after network errors and 5xx."""
        end, wait = self._clock.monotonic() + self._settings.timeout, FIRST_WAIT
        while True:
            try:
                return await self._once(method, path, body, query)
            except ControlPlaneAway as error:
                pause = wait * random.uniform(0.5, 1.5)  # noqa: S311
                if self._clock.monotonic() + pause > end:
                    raise
                log.debug("%s %s: %s, trying again", method, path, error.message)
                await self._clock.sleep(pause)
                wait = min(wait * FACTOR, LONGEST_WAIT)

    async def _once(self, method: str, path: str, body: Any, query: dict[str, str] | None) -> Any:
        url = f"{self._settings.url}/api/remote{path}"
        try:
            limit = aiohttp.ClientTimeout(total=min(10.0, self._settings.timeout))
            data = json.dumps(body) if method == "POST" else None  # what says nothing says `null` (Wings)
            headers = self._headers()
            async with self._session.request(
                method, url, data=data, headers=headers, params=query, timeout=limit, allow_redirects=False
            ) as answer:
                text = await answer.text()
                if 200 <= answer.status < 300:
                    return json.loads(text) if text else None
                self._raise(answer.status, text, path)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise self._away(error) from error

    def _headers(self) -> dict[str, str]:
        """Made anew for each call: the token may have been renewed."""
        return {
            "Authorization": f"Bearer {self._credentials.id}.{self._credentials.secret}",
            "Accept": ACCEPT,
            "Content-Type": "application/json",
            "User-Agent": f"Aerie Agent/v{VERSION} (id:{self._credentials.id})",
        }

    def _away(self, error: BaseException) -> ControlPlaneAway:
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return ControlPlaneAway(
                f"The control plane at {self._settings.url} has a certificate that cannot be trusted.",
                hint="Correct [remote] url, or name your own authority in [tls] ca.",
            )
        return ControlPlaneAway(
            f"The control plane at {self._settings.url} does not answer properly.", hint="Check that the bot runs and [remote] url."
        )

    def _raise(self, status: int, text: str, path: str) -> None:
        try:
            detail = RemoteError.model_validate_json(text).errors[0].detail
        except (ValidationError, IndexError):
            detail = ""
        if path == SIGN_IN and 400 <= status < 500 and status != 401:  # 403 is a wrong password here, not a wrong node's token
            raise SignInRefused(detail or "The control plane refuses the sign-in.")
        if status >= 500 or status == 429:
            raise ControlPlaneAway(f"The control plane failed ({status}).", hint="Look at the bot's log.")
        if status == 404:
            raise NotFound(detail or "The control plane does not know this server.")
        if status in (401, 403):
            raise NotConfigured(
                "The control plane refuses this node's token.", hint="Copy [remote] token_id and token from the control plane."
            )
        if 300 <= status < 400:
            raise NotConfigured("The control plane answers with a redirect.", hint="Write its final address as [remote] url.")
        raise AerieError(f"The control plane refused {path} ({status}). {detail}")


@asynccontextmanager
async def connected(
    settings: RemoteSection, credentials: Credentials, clock: Clock, cache: Path, trust: ssl.SSLContext | None = None
) -> AsyncIterator[Remote]:
    """A client for as long as the agent runs; `trust` judges the control plane's certificate. Raises NotConfigured."""
    if not settings.url or not credentials.id or not credentials.secret:
        hint = "Run `aerie agent configure`, or set [remote] url, token_id and token in its settings file."
        if (found := wings_file()) is not None:
            hint = f"Go on with this machine's Wings configuration: `aerie agent --config {found}`. Or: {hint}"
        raise NotConfigured("The agent does not know its control plane.", hint=hint)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust or True)) as session:
        yield Remote(settings, credentials, clock, session, cache)
