"""A server's folder with something outside it that must stay as it is, under both resolvers."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.filesystem.denylist import denylist
from agent.filesystem.quota import Quota
from agent.filesystem.root import Openat2, Resolver, Root, Walk
from agent.filesystem.rooted import Rooted
from agent.filesystem.syscalls import has_openat2


@dataclass
class Place:
    """`inside` is the server's folder, `outside` a neighbour with a secret in it."""

    inside: Path
    outside: Path
    resolver: Resolver
    limit: int = 0
    opened: list[Rooted] = field(default_factory=list)

    def files(self, *patterns: str, limit: int = 0) -> Rooted:
        self.limit = limit
        made = Rooted(Root(self.inside, self.resolver), Quota(lambda: self.limit), denylist(patterns), None)
        self.opened.append(made)
        return made

    def untouched(self) -> bool:
        """Whether the neighbour is as it was."""
        secret = self.outside / "secret"
        return (
            sorted(os.listdir(self.outside)) == ["folder", "secret"]
            and not os.listdir(self.outside / "folder")
            and secret.read_text() == "secret"
            and secret.stat().st_mode & 0o7777 == 0o600
            and secret.stat().st_mtime == 1000
        )


def _openat2() -> Resolver:
    if not has_openat2():
        pytest.skip("this kernel has no openat2")
    return Openat2()


@pytest.fixture(params=[_openat2, Walk], ids=["openat2", "walk"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    resolver: Callable[[], Resolver] = request.param
    made = Place(tmp_path / "server", tmp_path / "server-twin", resolver())
    made.inside.mkdir()
    made.outside.mkdir()
    (made.outside / "folder").mkdir()
    secret = made.outside / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    os.utime(secret, (1000, 1000))
    yield made
    for files in made.opened:
        files.close()
