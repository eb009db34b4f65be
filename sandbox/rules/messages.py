"""A message body, checked as a whole: content, embeds, components, files, flags and how they exclude each other.

`draft` reads a body for a new message or an edit and answers what the message would hold. Must never store anything.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sandbox import errors, limits
from sandbox.clock import Clock
from sandbox.errors import Form, Json
from sandbox.rules import attachments, components, embeds, mentions, polls, shapes
from sandbox.rules.attachments import Upload
from sandbox.rules.components import Media
from sandbox.state import COMPONENTS_V2, EPHEMERAL, Attachment, Message

SUPPRESS_EMBEDS = 1 << 2
SUPPRESS_NOTIFICATIONS = 1 << 12
SETTABLE = SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS | COMPONENTS_V2


@dataclass
class Draft:
    """What a message holds after a body was accepted."""

    content: str
    embeds: list[Json]
    components: list[Json]
    attachments: list[Attachment]
    flags: int
    tts: bool
    poll: Json | None
    allowed: mentions.Allowed
    nonce: str | int | None
    enforce_nonce: bool

    def mention_text(self) -> str:
        """The text in which mentions count: content and, in v2, text displays."""
        shown = [item["content"] for item in components.walk_answered(self.components) if item.get("type") == components.TEXT]
        return "\n".join([self.content, *shown])


def draft(
    body: Json,
    uploads: list[Upload],
    clock: Clock,
    url_of: Callable[[Attachment], str],
    *,
    old: Message | None = None,
    ephemeral_allowed: bool = False,
    path: tuple[str | int, ...] = (),
) -> Draft:
    """Reads a body. With `old` it is an edit and keys that are missing keep what is there.

    Raises 50035 with every mistake, 50006 for an empty message, 40005 for a file that is too large. `path` is where the
    body sits (`data` in interaction callbacks).
    """
    form = Form().at(*path)
    flags = _flags(body, form, old, ephemeral_allowed)
    v2 = bool(flags & COMPONENTS_V2)
    files = attachments.attach(body, uploads, old.attachments if old else [], form, clock)

    def locate(name: str) -> Media | None:
        item = attachments.named(files, name) or next((one for one in files if url_of(one) == name), None)
        return Media(url_of(item), item.id, item.filename, len(item.data), item.content_type) if item else None

    def locate_url(name: str) -> str | None:
        return media.url if (media := locate(name)) is not None else None

    content = _content(body, form, old)
    shown = old.embeds if old else []
    if "embeds" in body or "embed" in body:
        shown = embeds.check(shapes.listing(body, "embeds", form, high=10**6), form.at("embeds"), locate_url)
    drawn = old.components if old else []
    if "components" in body:
        given = shapes.listing(body, "components", form, high=10**6)
        drawn = components.check(given, form.at("components"), v2=v2, locate=locate)
    poll = polls.check(body, form, clock) if old is None else old.poll
    if v2:
        _only_v2(body, form, content, shown, poll)
    result = Draft(
        content, shown, drawn, files, flags, shapes.boolean(body, "tts", form), poll, mentions.allowed(body, form), _nonce(body, form),
        shapes.boolean(body, "enforce_nonce", form),
    )  # fmt: skip
    form.check()
    _sort_out_embedded(result, old, url_of)
    _not_empty(result, v2)
    return result


def _sort_out_embedded(made: Draft, old: Message | None, url_of: Callable[[Attachment], str]) -> None:
    """Files that an embed shows are not listed beside it, and stay as long as the embed does."""
    used = embeds.media_urls(made.embeds)
    dropped = [item for item in (old.attachments if old else []) if item not in made.attachments and url_of(item) in used]
    made.attachments = made.attachments + dropped
    for item in made.attachments:
        item.embedded = url_of(item) in used


def _flags(body: Json, form: Form, old: Message | None, ephemeral_allowed: bool) -> int:
    given = shapes.integer(body, "flags", form, low=0)
    settable = SETTABLE | (EPHEMERAL if ephemeral_allowed and old is None else 0)
    if old is None:
        return (given or 0) & settable
    if given is None:
        return old.flags
    if old.flags & COMPONENTS_V2 and not given & COMPONENTS_V2:
        form.at("flags").add("MESSAGE_CANNOT_REMOVE_COMPONENTS_V2_FLAG", "The IS_COMPONENTS_V2 flag cannot be removed from a message")
    return old.flags & ~settable | given & settable


def _content(body: Json, form: Form, old: Message | None) -> str:
    if "content" not in body:
        return old.content if old else ""
    return (shapes.string(body, "content", form, high=limits.CONTENT) or "").strip()


def _only_v2(body: Json, form: Form, content: str, shown: list[Json], poll: Json | None) -> None:
    for key, used in (
        ("content", bool(content)),
        ("embeds", bool(shown)),
        ("poll", bool(poll)),
        ("sticker_ids", bool(body.get("sticker_ids"))),
    ):
        if used:
            form.at(key).add(
                "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                f"The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
            )


def _nonce(body: Json, form: Form) -> str | int | None:
    value = body.get("nonce")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return shapes.string(body, "nonce", form, high=limits.NONCE)


def _not_empty(made: Draft, v2: bool) -> None:
    if v2:
        if not made.components:
            raise errors.invalid(("components",), "BASE_TYPE_REQUIRED", "This field is required")
        return
    if not (made.content or made.embeds or made.attachments or made.components or made.poll):
        raise errors.empty_message()
