"""Names of images, read as Docker reads them: `registry:port/path:tag@digest`. Pure; nothing here asks anybody.

What cannot be a name is refused before Docker sees it, so that nothing in it is taken for something else. A login is for one registry's own
host alone: `ghcr.io.evil.tld` begins like `ghcr.io` and is another machine.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from core.agent_settings import RegistryLogin
from core.errors import ImageUnavailable

HUB = "docker.io"
_HUB_TOO = ("index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")

_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?", re.ASCII)
_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LONGEST = 255


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image. `local` ones (written `~name`) are never pulled; one with a digest never changes, whatever its tag does."""

    registry: str
    path: str
    tag: str = ""
    digest: str = ""
    local: bool = False

    @property
    def repository(self) -> str:
        return f"{self.registry}/{self.path}"

    @property
    def name(self) -> str:
        """As people write it and Docker takes it; beside a digest the tag says nothing."""
        short = self.path.removeprefix("library/") if self.registry == HUB else self.repository
        return f"{short}@{self.digest}" if self.digest else f"{short}:{self.tag}"

    @property
    def whole(self) -> str:
        """With its registry, for a pull."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"

    def login(self, logins: Mapping[str, RegistryLogin]) -> RegistryLogin | None:
        """The login for its registry: exactly its host, and of several paths the longest that it lies below."""
        fitting: list[tuple[int, RegistryLogin]] = []
        for key, login in logins.items():
            host, parts = _place(key)
            mine = self.path.split("/")
            if host == self.registry.lower() and mine[: len(parts)] == parts:
                fitting.append((len(parts), login))
        return max(fitting, key=lambda one: one[0])[1] if fitting else None


def read_image(text: str) -> ImageName:
    """Read a name. Raises ImageUnavailable with what is wrong with it."""
    local, rest = text.startswith("~"), text.removeprefix("~")
    if not rest:
        raise ImageUnavailable("The server has no image.", hint="Choose one of its egg's images.")
    rest, at, digest = rest.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _wrong(text, "what follows the @ is no digest")
    head, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        head, tag = rest, ""
    elif not _TAG.fullmatch(tag):
        raise _wrong(text, "what follows the last colon is no tag")
    first, slash, path = head.partition("/")
    if slash and (any(letter in first for letter in ".:") or first == "localhost" or first != first.lower()):
        registry = HUB if first.lower() in _HUB_TOO else first
    else:
        registry, path = HUB, head
    if registry == HUB and "/" not in path:
        path = f"library/{path}"
    if not _HOST.fullmatch(registry):
        raise _wrong(text, "its registry is no host")
    if not all(_PART.fullmatch(part) for part in path.split("/")):
        raise _wrong(text, "a path has small letters, digits, and single . _ or - between them")
    if _ID.fullmatch(path.removeprefix("library/")):
        raise _wrong(text, "it is an image's id, not a name")
    if len(path) > _LONGEST:
        raise _wrong(text, "it is too long")
    return ImageName(registry, path, tag or ("" if digest else "latest"), digest, local)


def _place(key: str) -> tuple[str, list[str]]:
    """A setting's registry: host and path, also as Docker's own configuration writes them (`https://index.docker.io/v1/`)."""
    text = re.sub(r"^https?://", "", key.strip())
    host, _, path = text.partition("/")
    host = host.lower()
    parts = [part for part in path.split("/") if part]
    if host in (HUB, *_HUB_TOO):
        return HUB, [part for part in parts if part not in ("v1", "v2")]
    return host, parts


def _wrong(text: str, why: str) -> ImageUnavailable:
    return ImageUnavailable(f"{text[:120]!r} is no name of an image: {why}.", hint="Write it as registry/path:tag.")
