"""A registry of images over real HTTP on the loopback, where engines need no TLS; with and without logins, and rude when asked to be.

Speaks as much of the distribution API as `docker pull` uses: the base, a token service, manifests and blobs.
"""

import asyncio
import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
CONFIG = "application/vnd.docker.container.image.v1+json"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class FakeRegistry:
    """`offer` an image, then have an engine pull it. `asked` keeps every manifest that was asked for, by name and reference."""

    user: str = ""
    password: str = ""
    """With these, everybody must sign in."""
    tokens: bool = False
    """Sign in at a token service, as at Docker Hub and ghcr.io, instead of with each request."""
    broken: set[str] = field(default_factory=set)
    """Images whose manifests are answered with 500."""
    stalled: set[str] = field(default_factory=set)
    """Images whose layers do not come before `go_on` is set."""
    forged: set[str] = field(default_factory=set)
    """Images whose layers hold something else than their digests say."""
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[str, str]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """Passwords that were sent here."""
    port: int = 0
    _blobs: dict[str, bytes] = field(default_factory=dict)
    _manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    _runner: web.AppRunner | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def open(self) -> None:
        app = web.Application()
        app.router.add_get("/v2/", self._base)
        app.router.add_get("/token", self._token)
        app.router.add_get("/v2/{name:.+}/manifests/{reference}", self._manifest)
        app.router.add_get("/v2/{name:.+}/blobs/{digest}", self._blob)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        server: Any = site._server
        self.port = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self.go_on.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def offer(self, name: str, tag: str = "1", *, layers: int = 2, size: int = 20_000) -> str:
        """Make an image of fresh random layers and answer the digest of its manifest."""
        packed, plain = [], []
        for number in range(layers):
            tar = io.BytesIO()
            with tarfile.open(fileobj=tar, mode="w") as archive:
                info = tarfile.TarInfo(f"layer-{number}")
                info.size = size
                archive.addfile(info, io.BytesIO(os.urandom(size)))
            plain.append(sha256(tar.getvalue()))
            packed.append(self._keep(gzip.compress(tar.getvalue(), mtime=0)))
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": plain}}
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "size": len(config), "digest": self._keep(config)},
                "layers": [{"mediaType": LAYER, "size": len(self._blobs[one]), "digest": one} for one in packed],
            }
        ).encode()
        digest = sha256(manifest)
        self._manifests[name, tag] = self._manifests[name, digest] = manifest
        return digest

    def swap(self, name: str, digest: str) -> None:
        """Answer a digest with another image's manifest."""
        self._manifests[name, digest] = self._manifests[name, "1"] + b" "

    def _keep(self, data: bytes) -> str:
        digest = sha256(data)
        self._blobs[digest] = data
        return digest

    def _refusal(self, request: web.Request) -> web.Response | None:
        """401 with the way to sign in, unless the request bears what it should."""
        if not self.user:
            return None
        given = request.headers.get("Authorization", "")
        if self.tokens:
            if given == "Bearer a-token":
                return None
            way = f'Bearer realm="http://{self.host}/token",service="fake"'
        else:
            if self._signed_in(given):
                return None
            way = 'Basic realm="fake"'
        body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]})
        return web.Response(status=401, headers={"WWW-Authenticate": way}, text=body, content_type="application/json")

    def _signed_in(self, header: str) -> bool:
        if not header.startswith("Basic "):
            return False
        user, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
        self.seen.append(password)
        return (user, password) == (self.user, self.password)

    async def _base(self, request: web.Request) -> web.Response:
        return self._refusal(request) or web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})

    async def _token(self, request: web.Request) -> web.Response:
        if not self._signed_in(request.headers.get("Authorization", "")):
            return web.json_response({"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]}, status=401)
        return web.json_response({"token": "a-token", "access_token": "a-token"})

    async def _manifest(self, request: web.Request) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        name, reference = request.match_info["name"], request.match_info["reference"]
        if request.method == "GET":
            self.asked.append((name, reference))
        if name in self.broken:
            return web.Response(status=500, text="something broke")
        body = self._manifests.get((name, reference))
        if body is None:
            error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
            return web.json_response(error, status=404)
        return web.Response(
            body=body, content_type=MANIFEST, headers={"Docker-Content-Digest": reference if "@" in reference else sha256(body)}
        )

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        name, data = request.match_info["name"], self._blobs.get(request.match_info["digest"])
        if data is None:
            return web.Response(status=404)
        layer = not data.startswith(b"{")
        if layer and name in self.stalled:
            await self.go_on.wait()
        if layer and name in self.forged:
            data = gzip.compress(b"\0" * 1024, mtime=0).ljust(len(data), b"\0")[: len(data)]
        return web.Response(body=data, content_type="application/octet-stream")
