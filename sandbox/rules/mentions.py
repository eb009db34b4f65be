"""Who a message mentions, honouring allowed_mentions and the author's permissions.

Must never change anything; answers ids.
"""

import re
from dataclasses import dataclass
from typing import Any

from sandbox import limits, permissions
from sandbox.errors import Form, Json
from sandbox.rules import shapes
from sandbox.state import Guild

USER = re.compile(r"<@!?(\d{1,20})>")
ROLE = re.compile(r"<@&(\d{1,20})>")
EVERYONE = re.compile(r"@(everyone|here)\b")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


@dataclass(frozen=True)
class Allowed:
    """What a body's allowed_mentions lets through; None for a list means all of that kind."""

    users: frozenset[str] | None = None
    roles: frozenset[str] | None = None
    everyone: bool = True
    replied_user: bool = True


def allowed(body: Json, form: Form) -> Allowed:
    """Reads `allowed_mentions` of a message body; missing means everything is allowed."""
    raw: Any = body.get("allowed_mentions")
    if raw is None:
        return Allowed()
    here = form.at("allowed_mentions")
    given = shapes.as_dict(raw, here)
    kinds = shapes.listing(given, "parse", here, high=3)
    for index, kind in enumerate(kinds):
        if kind not in ("roles", "users", "everyone"):
            here.at("parse", index).choices(("users", "roles", "everyone"))
    lists: dict[str, frozenset[str] | None] = {}
    for kind in ("users", "roles"):
        ids = shapes.listing(given, kind, here, high=limits.ALLOWED_MENTION_IDS)
        if ids and kind in kinds:
            here.add("MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.')
        found = [shapes.snowflake(one, here.at(kind, index)) for index, one in enumerate(ids)]
        lists[kind] = None if kind in kinds else frozenset(one for one in found if one)
    return Allowed(lists["users"], lists["roles"], "everyone" in kinds, shapes.boolean(given, "replied_user", here))


@dataclass(frozen=True)
class Mentioned:
    """The outcome: user ids, role ids, and whether @everyone or @here rang."""

    users: list[str]
    roles: list[str]
    everyone: bool


def find(text: str, guild: Guild | None, known: set[str], rules: Allowed, author_permissions: int, replied_to: str | None) -> Mentioned:
    """Reads the mentions out of a text; `known` are the ids of users who exist, `replied_to` the author answered with a ping."""
    plain = CODE.sub("", text)
    users = [one for one in dict.fromkeys(USER.findall(plain)) if one in known and (rules.users is None or one in rules.users)]
    if replied_to is not None and rules.replied_user and replied_to not in users:
        users.append(replied_to)
    if guild is None:
        return Mentioned(users, [], False)
    may_everyone = bool(author_permissions & permissions.MENTION_EVERYONE)
    roles = [
        one
        for one in dict.fromkeys(ROLE.findall(plain))
        if (role := guild.roles.get(one)) is not None and (role.mentionable or may_everyone) and (rules.roles is None or one in rules.roles)
    ]
    return Mentioned(users, roles, rules.everyone and may_everyone and EVERYONE.search(plain) is not None)
