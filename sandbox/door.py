"""The door of the sandbox: who may knock at all, and the files it hands out.

Loopback only; a browser page of another origin is refused, and so is a request under a foreign host name, so that no
web site can reach the sandbox through the browser of the person who runs it. Must never serve a file outside the page's
folder or the messages' attachments.
"""

import asyncio
import ipaddress
import mimetypes
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from sandbox.rest.router import json_response
from sandbox.state import State

mimetypes.init()  # reads files: now, not while somebody waits
PAGE = Path(__file__).parent / "page"
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self' ws://{host}; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
HOST = re.compile(r"[\w.\-\[\]:]{1,255}")
FILE_HEADERS = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}
INLINE = ("image/png", "image/jpeg", "image/gif", "image/webp", "text/plain", "audio/", "video/")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NotLoopback(Exception):
    """The configured address would let others in; the text says what to do."""


def require_loopback(host: str, *, allow_remote: bool) -> None:
    """Raises NotLoopback unless `host` is a loopback address or remote access was allowed on purpose."""
    if not allow_remote and not _loopback_name(host):
        raise NotLoopback(
            f"the sandbox listens on loopback only, and {host!r} is not: whoever reaches it is any person of the community "
            "without a password. Use 127.0.0.1, or set allow_remote when the network around it is closed."
        )


def _loopback_name(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _followed_link(request: web.Request) -> bool:
    """Somebody clicked a link to the page itself: harmless, it cannot be framed and holds no data."""
    headers = request.headers
    return request.path == "/" and headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"


def guard(*, allow_remote: bool) -> Middleware:
    """The middleware that checks Host and Origin of every request."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = urlsplit(f"//{request.host}").hostname or ""
        if HOST.fullmatch(request.host) is None or not (allow_remote or _loopback_name(host)):
            return json_response({"error": f"The sandbox answers under a loopback address only, not as {request.host}."}, 403)
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            return json_response({"error": "Pages of other origins may not talk to the sandbox."}, 403)
        if origin is None and request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not _followed_link(request):
            return json_response({"error": "Pages of other sites may not talk to the sandbox."}, 403)
        return await handler(request)

    return check


async def index(request: web.Request) -> web.StreamResponse:
    """GET /: the page."""
    return await asyncio.to_thread(page_file, "index.html", request.host)


async def page(request: web.Request) -> web.StreamResponse:
    """GET /page/...: a file of the page."""
    return await asyncio.to_thread(page_file, request.match_info["path"], request.host)


def page_headers(host: str) -> dict[str, str]:
    """The page's headers: it may load and reach nothing but this sandbox."""
    return {**PAGE_HEADERS, "Content-Security-Policy": PAGE_HEADERS["Content-Security-Policy"].format(host=host)}


def page_file(name: str, host: str) -> web.StreamResponse:
    """A file of the page's folder, or 404."""
    wanted = (PAGE / name).resolve()
    if not wanted.is_relative_to(PAGE.resolve()) or not wanted.is_file():
        return web.Response(status=404, text=f"The page has no file {name}.", headers=page_headers(host))
    kind = {".js": "text/javascript", ".mjs": "text/javascript"}.get(wanted.suffix) or mimetypes.guess_type(wanted.name)[0]
    return web.FileResponse(wanted, headers={**page_headers(host), "Content-Type": kind or "application/octet-stream"})


def attachments(state: State) -> Handler:
    """GET /attachments/{channel}/{id}/{name}: a file of a message; the bytes stay what was uploaded."""

    async def serve(request: web.Request) -> web.StreamResponse:
        found = state.files.get(request.match_info["attachment_id"])
        if found is None or found.filename != request.match_info["filename"]:
            return web.Response(status=404, text="This content is no longer available.", headers=FILE_HEADERS)
        inline = found.content_type.startswith(INLINE)
        headers = {
            **FILE_HEADERS, "Content-Type": found.content_type if inline else "application/octet-stream",
            "Content-Disposition": f'{"inline" if inline else "attachment"}; filename="{found.filename}"',
        }  # fmt: skip
        return web.Response(body=found.data, headers=headers)

    return serve
