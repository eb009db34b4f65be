"""What a sandbox starts with: one application, its guilds, their roles, people and channels.

Reads JSON or TOML. A mistake in the file is reported with the place and what is allowed; nothing is guessed.
Must never hold state that changes while the sandbox runs.
"""

import json
import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sandbox import permissions


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SeedRole(_Part):
    """A role: `permissions` is a list of Discord's permission names, `color` is "#rrggbb" (empty: none)."""

    name: str = Field(min_length=1, max_length=100)
    permissions: list[str] = Field(default_factory=list)
    color: str = Field(default="", pattern=r"^(#[0-9a-fA-F]{6})?$")
    hoist: bool = True
    mentionable: bool = False

    @field_validator("permissions")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        permissions.from_names(names)
        return names

    def bits(self) -> int:
        """The permission bits."""
        return permissions.from_names(self.permissions)


class SeedMember(_Part):
    """A person: `roles` are names of roles of the guild, `blurb` one line that says who this is in the demo."""

    name: str = Field(min_length=1, max_length=32)
    roles: list[str] = Field(default_factory=list)
    blurb: str = ""
    locale: str = "en-US"


class SeedOverwrite(_Part):
    """A channel's exception for a role or a member, by name; `@everyone` is a role."""

    role: str | None = None
    member: str | None = None
    allow: list[str] = Field(default_factory=list)
    deny: list[str] = Field(default_factory=list)


class SeedChannel(_Part):
    """A channel: type 0 text, 4 category, 5 announcement, 15 forum; `category` names a channel of type 4 listed before."""

    name: str = Field(min_length=1, max_length=100)
    topic: str = ""
    type: int = 0
    category: str | None = None
    overwrites: list[SeedOverwrite] = Field(default_factory=list)

    @field_validator("type")
    @classmethod
    def _served(cls, value: int) -> int:
        if value not in (0, 2, 4, 5, 15):
            raise ValueError("channel type must be 0 (text), 2 (voice), 4 (category), 5 (announcement) or 15 (forum)")
        return value


class SeedGuild(_Part):
    """A guild: `owner` is the name of one of its members."""

    name: str = Field(default="Aerie", min_length=2, max_length=100)
    owner: str
    roles: list[SeedRole] = Field(default_factory=list)
    members: list[SeedMember]
    channels: list[SeedChannel]
    bot_permissions: list[str] | None = None
    everyone_permissions: list[str] | None = None
    locale: str = "en-US"


class SeedApplication(_Part):
    """The bot's application; `privileged_intents` may hold members, presences, message_content."""

    id: str | None = Field(default=None, pattern=r"^[0-9]{17,20}$")
    name: str = Field(default="Aerie", min_length=1, max_length=32)
    description: str = ""
    token: str = Field(default="sandbox-token", min_length=1)
    privileged_intents: list[str] = Field(default_factory=list)

    @field_validator("privileged_intents")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in ("members", "presences", "message_content"):
                raise ValueError(f"unknown privileged intent {name!r}; known are members, presences, message_content")
        return names


class Seed(_Part):
    """Everything a sandbox starts with."""

    application: SeedApplication = Field(default_factory=SeedApplication)
    guilds: list[SeedGuild] = Field(min_length=1)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a `.json` or `.toml` file. Raises SeedError that says what to change."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise SeedError(f"cannot read the seed file {path}: {error.strerror}") from error
        try:
            data = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        except ValueError as error:
            raise SeedError(f"the seed file {path} is not valid {path.suffix.lstrip('.') or 'JSON'}: {error}") from error
        return cls.parse(data, str(path))

    @classmethod
    def parse(cls, data: object, name: str = "the seed") -> Self:
        """Checks a decoded seed. Raises SeedError that lists each mistake with its place."""
        try:
            seed = cls.model_validate(data)
        except ValidationError as error:
            lines = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
            raise SeedError(f"{name} has mistakes: " + "; ".join(lines)) from error
        for guild in seed.guilds:
            _check_names(guild, name)
        return seed


class SeedError(Exception):
    """The seed cannot be used; the text says where and why."""


def _check_names(guild: SeedGuild, name: str) -> None:
    people = [member.name for member in guild.members]
    roles = {role.name for role in guild.roles}
    if len(set(people)) != len(people):
        raise SeedError(f"{name}: two members of {guild.name!r} share a name; names tell people apart here")
    if guild.owner not in people:
        raise SeedError(f"{name}: the owner {guild.owner!r} is not among the members of {guild.name!r}: {', '.join(people)}")
    for member in guild.members:
        for role in member.roles:
            if role not in roles:
                raise SeedError(f"{name}: {member.name!r} has the role {role!r}, which {guild.name!r} does not define")
    categories: set[str] = set()
    for channel in guild.channels:
        if channel.category is not None and channel.category not in categories:
            raise SeedError(f"{name}: channel {channel.name!r} sits in {channel.category!r}, which is no category listed before it")
        if channel.type == 4:
            categories.add(channel.name)
        for overwrite in channel.overwrites:
            if (overwrite.role is None) == (overwrite.member is None):
                raise SeedError(f"{name}: an overwrite of channel {channel.name!r} must name a role or a member, not both")
            if overwrite.role not in {None, "@everyone", *roles} or overwrite.member not in {None, *people}:
                raise SeedError(f"{name}: an overwrite of channel {channel.name!r} names somebody unknown")
            permissions.from_names(overwrite.allow + overwrite.deny)


def demo_seed() -> Seed:
    """The small community used when no seed file is given: an owner, a moderator and a member."""
    return Seed(
        guilds=[
            SeedGuild(
                name="The Aerie",
                owner="Ada",
                roles=[
                    SeedRole(name="Moderator", color="#3ba55c", permissions=["manage_messages", "manage_threads", "moderate_members"]),
                    SeedRole(name="Player", color="#5865f2"),
                ],
                members=[
                    SeedMember(name="Ada", blurb="owns the community and may do everything"),
                    SeedMember(name="Max", roles=["Moderator", "Player"], blurb="keeps the peace"),
                    SeedMember(name="Kim", roles=["Player"], blurb="just wants to play"),
                ],
                channels=[
                    SeedChannel(name="general", topic="Everything and nothing"),
                    SeedChannel(name="servers", topic="Server cards and commands"),
                    SeedChannel(name="console", topic="Live console"),
                ],
            )
        ]
    )
