"""What Discord refuses, the sandbox refuses: the code, and the place in the body."""

from typing import Any

import pytest

from sandbox.app import Sandbox
from tests.sandbox.clients import Api

V2 = 1 << 15


def row(*children: Any) -> Any:
    return {"type": 1, "components": list(children)}


def button(**changes: Any) -> Any:
    return {"type": 2, "style": 1, "label": "Go", "custom_id": "go", **changes}


def text(content: str = "x") -> Any:
    return {"type": 10, "content": content}


def select(**changes: Any) -> Any:
    return {"type": 3, "custom_id": "s", "options": [{"label": "a", "value": "a"}], **changes}


def embed(**parts: Any) -> Any:
    return {"embeds": [parts]}


def v2(*components: Any, **more: Any) -> Any:
    return {"flags": V2, "components": list(components), **more}


REFUSED: list[tuple[str, Any, str, str]] = [
    ("content too long", {"content": "x" * 2001}, "content", "BASE_TYPE_MAX_LENGTH"),
    ("content of the wrong type", {"content": ["x"]}, "content", "STRING_TYPE_CONVERT"),
    ("nonce too long", {"content": "x", "nonce": "n" * 26}, "nonce", "BASE_TYPE_MAX_LENGTH"),
    ("eleven embeds", {"embeds": [{"title": "x"}] * 11}, "embeds", "BASE_TYPE_MAX_LENGTH"),
    ("embed title", embed(title="x" * 257), "embeds.0.title", "BASE_TYPE_MAX_LENGTH"),
    ("embed description", embed(description="x" * 4097), "embeds.0.description", "BASE_TYPE_MAX_LENGTH"),
    ("embed fields", embed(fields=[{"name": "a", "value": "b"}] * 26), "embeds.0.fields", "BASE_TYPE_MAX_LENGTH"),
    ("embed field name", embed(fields=[{"name": "x" * 257, "value": "b"}]), "embeds.0.fields.0.name", "BASE_TYPE_BAD_LENGTH"),
    ("embed field value", embed(fields=[{"name": "x", "value": "b" * 1025}]), "embeds.0.fields.0.value", "BASE_TYPE_BAD_LENGTH"),
    ("blank embed field", embed(fields=[{"name": "x", "value": "  "}]), "embeds.0.fields.0.value", "BASE_TYPE_REQUIRED"),
    ("embed footer", embed(footer={"text": "x" * 2049}), "embeds.0.footer.text", "BASE_TYPE_MAX_LENGTH"),
    ("embed author", embed(author={"name": "x" * 257}), "embeds.0.author.name", "BASE_TYPE_BAD_LENGTH"),
    ("embed total", {"embeds": [{"description": "x" * 3001}, {"description": "x" * 3000}]}, "embeds", "MAX_EMBED_SIZE_EXCEEDED"),
    ("embed url scheme", embed(title="x", url="ftp://x"), "embeds.0.url", "URL_TYPE_INVALID_SCHEME"),
    ("embed colour", embed(title="x", color=0x1000000), "embeds.0.color", "NUMBER_TYPE_MAX"),
    ("embed time", embed(title="x", timestamp="yesterday"), "embeds.0.timestamp", "DATE_TIME_TYPE_PARSE"),
    ("embed picture that is none", embed(image={"url": "attachment://log.txt"}), "embeds.0.image.url", "URL_TYPE_INVALID_URL"),
    (
        "mentions both ways",
        {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
        "allowed_mentions",
        "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
    ),
    (
        "mentions of a wrong kind",
        {"content": "x", "allowed_mentions": {"parse": ["cats"]}},
        "allowed_mentions.parse.0",
        "BASE_TYPE_CHOICES",
    ),
    (
        "too many mention ids",
        {"content": "x", "allowed_mentions": {"users": ["1"] * 101}},
        "allowed_mentions.users",
        "BASE_TYPE_MAX_LENGTH",
    ),
    ("unknown reply", {"content": "x", "message_reference": {"message_id": "1"}}, "message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE"),
    ("six rows", {"components": [row(button(custom_id=str(n))) for n in range(6)]}, "components", "BASE_TYPE_BAD_LENGTH"),
    (
        "six buttons",
        {"components": [row(*[button(custom_id=str(n)) for n in range(6)])]},
        "components.0.components",
        "BASE_TYPE_BAD_LENGTH",
    ),
    ("empty row", {"components": [row()]}, "components.0.components", "BASE_TYPE_BAD_LENGTH"),
    ("select beside a button", {"components": [row(select(), button())]}, "components.0.components", "COMPONENT_LAYOUT_WIDTH_EXCEEDED"),
    (
        "same custom_id twice",
        {"components": [row(button(), button())]},
        "components.0.components.1.custom_id",
        "COMPONENT_CUSTOM_ID_DUPLICATED",
    ),
    (
        "custom_id too long",
        {"components": [row(button(custom_id="x" * 101))]},
        "components.0.components.0.custom_id",
        "BASE_TYPE_BAD_LENGTH",
    ),
    ("custom_id empty", {"components": [row(button(custom_id=""))]}, "components.0.components.0.custom_id", "BASE_TYPE_REQUIRED"),
    ("button label", {"components": [row(button(label="x" * 81))]}, "components.0.components.0.label", "BASE_TYPE_MAX_LENGTH"),
    (
        "button without a face",
        {"components": [row(button(label=None))]},
        "components.0.components.0",
        "BUTTON_COMPONENT_REQUIRES_LABEL_OR_EMOJI",
    ),
    (
        "button with both",
        {"components": [row(button(url="https://x.example"))]},
        "components.0.components.0",
        "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE",
    ),
    (
        "link without url",
        {"components": [row({"type": 2, "style": 5, "label": "x"})]},
        "components.0.components.0.url",
        "BASE_TYPE_REQUIRED",
    ),
    (
        "bad emoji",
        {"components": [row(button(emoji={"name": "smile"}))]},
        "components.0.components.0.emoji.name",
        "COMPONENT_INVALID_EMOJI",
    ),
    ("no options", {"components": [row(select(options=[]))]}, "components.0.components.0.options", "BASE_TYPE_BAD_LENGTH"),
    (
        "26 options",
        {"components": [row(select(options=[{"label": "a", "value": str(n)} for n in range(26)]))]},
        "components.0.components.0.options",
        "BASE_TYPE_BAD_LENGTH",
    ),
    (
        "same value twice",
        {"components": [row(select(options=[{"label": "a", "value": "a"}] * 2))]},
        "components.0.components.0.options.1.value",
        "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
    ),
    ("more than there is", {"components": [row(select(max_values=2))]}, "components.0.components.0.max_values", "NUMBER_TYPE_MAX"),
    ("placeholder", {"components": [row(select(placeholder="x" * 151))]}, "components.0.components.0.placeholder", "BASE_TYPE_MAX_LENGTH"),
    ("v2 without its flag", {"components": [text()]}, "components.0.type", "UNION_TYPE_CHOICES"),
    ("v2 with content", v2(text(), content="x"), "content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"),
    ("v2 with embeds", v2(text(), embeds=[{"title": "x"}]), "embeds", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"),
    ("v2 with nothing", v2(), "components", "BASE_TYPE_REQUIRED"),
    ("41 components", v2({"type": 17, "components": [text() for _ in range(40)]}), "components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED"),
    ("4001 characters", v2(text("x" * 2001), text("x" * 2000)), "components", "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED"),
    (
        "container in container",
        v2({"type": 17, "components": [{"type": 17, "components": [text()]}]}),
        "components.0.components.0.type",
        "UNION_TYPE_CHOICES",
    ),
    ("section without accessory", v2({"type": 9, "components": [text()]}), "components.0.accessory", "BASE_TYPE_REQUIRED"),
    (
        "section of four",
        v2({"type": 9, "components": [text()] * 4, "accessory": button()}),
        "components.0.components",
        "BASE_TYPE_BAD_LENGTH",
    ),
    ("empty gallery", v2({"type": 12, "items": []}), "components.0.items", "BASE_TYPE_BAD_LENGTH"),
    ("file from outside", v2({"type": 13, "file": {"url": "https://x.example/a"}}), "components.0.file.url", "URL_TYPE_INVALID_SCHEME"),
    (
        "missing file",
        v2({"type": 13, "file": {"url": "attachment://a"}}),
        "components.0.file.url",
        "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
    ),
    ("wide separator", v2({"type": 14, "spacing": 3}), "components.0.spacing", "BASE_TYPE_CHOICES"),
    ("same id twice", v2({**text(), "id": 5}, {**text(), "id": 5}), "components.1.id", "COMPONENT_ID_DUPLICATED"),
    ("text display empty", v2(text("")), "components.0.content", "BASE_TYPE_REQUIRED"),
    (
        "poll question",
        {"poll": {"question": {"text": "x" * 301}, "answers": [{"poll_media": {"text": "a"}}]}},
        "poll.question.text",
        "BASE_TYPE_BAD_LENGTH",
    ),
    (
        "attachment that was not sent",
        {"content": "x", "attachments": [{"id": "0", "filename": "a"}]},
        "attachments.0.id",
        "ATTACHMENT_NOT_FOUND",
    ),
]


def at(errors: Any, path: str) -> Any:
    """The mistakes noted at a dotted path."""
    for part in path.split("."):
        errors = errors[part]
    return [one["code"] for one in errors["_errors"]]


@pytest.mark.parametrize(("body", "path", "code"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
async def test_a_message_body_is_refused_at_its_place(api: Api, general: str, body: Any, path: str, code: str) -> None:
    answer = await api("POST", f"/channels/{general}/messages", body)
    assert (answer.status, answer.body["code"], answer.body["message"]) == (400, 50035, "Invalid Form Body")
    assert code in at(answer.body["errors"], path)


@pytest.mark.parametrize(
    "body",
    [
        {"content": "x" * 2000},
        {"embeds": [{"description": "x" * 4096}, {"description": "x" * 1904}]},
        {"content": "x", "components": [row(*[button(custom_id=str(n), label="x" * 80) for n in range(5)])] * 1},
        v2({"type": 17, "components": [text("x" * 100) for _ in range(39)]}),
        v2(text("x" * 4000)),
        {"content": "x", "message_reference": {"message_id": "1", "fail_if_not_exists": False}},
    ],
)
async def test_bodies_at_the_limit_are_accepted(box: Sandbox, api: Api, general: str, body: Any) -> None:
    assert (await api("POST", f"/channels/{general}/messages", body)).status == 200


@pytest.mark.parametrize("body", [{}, {"content": "   "}, {"embeds": []}, {"embeds": [{}]}])
async def test_an_empty_message_is_refused(api: Api, general: str, body: Any) -> None:
    answer = await api("POST", f"/channels/{general}/messages", body)
    assert (answer.status, answer.body["code"]) == (400, 50006)


async def test_two_mistakes_are_both_told(api: Api, general: str) -> None:
    answer = await api("POST", f"/channels/{general}/messages", {"content": "x" * 2001, "embeds": [{"title": "x" * 257}]})
    assert set(answer.body["errors"]) == {"content", "embeds"}


async def test_files_that_are_too_large_are_refused(box: Sandbox, api: Api, general: str) -> None:
    over = await api("POST", f"/channels/{general}/messages", {}, files={"a.bin": b"x" * (10 * 1024 * 1024 + 1)})
    assert (over.status, over.body["code"]) == (413, 40005)
    whole = await api("POST", f"/channels/{general}/messages", {}, files={f"{n}.bin": b"x" * (9 * 1024 * 1024) for n in range(3)})
    assert (whole.status, whole.body["code"]) == (413, 40005)
    many = await api("POST", f"/channels/{general}/messages", {}, files={f"{n}.txt": b"x" for n in range(11)})
    assert at(many.body["errors"], "attachments") == ["BASE_TYPE_MAX_LENGTH"]


async def test_broken_requests_are_refused(box: Sandbox, api: Api, general: str) -> None:
    assert (await api("GET", "/users/@me", headers={"Authorization": "Bot wrong"})).status == 401
    assert (await api("GET", "/nowhere")).body == {"message": "404: Not Found", "code": 0}
    assert (await api("POST", f"/channels/{general}/messages", [1])).body["code"] == 50035
    unknown = await api("POST", "/channels/1/messages", {"content": "x"})
    assert (unknown.status, unknown.body["code"]) == (404, 10003)
    assert (await api("PATCH", f"/channels/{general}/messages/1", {"content": "x"})).body["code"] == 10008
    assert (await api("GET", "/guilds/1")).body["code"] == 10004
    assert (await api("GET", "/users/1")).body["code"] == 10013
    assert (await api("PUT", f"/applications/{box.state.application_id}/commands", {})).body["code"] == 50035
    assert (await api("PUT", "/applications/1/commands", [])).status == 403
    assert (await api("GET", f"/channels/{general}/messages?limit=101")).body["code"] == 50035
    assert (await api("GET", "/channels/general")).body["errors"]["channel_id"]
    assert (await api("DELETE", f"/channels/{general}/messages/1", headers={"X-Audit-Log-Reason": "x" * 513})).body["errors"]["reason"]
    broken = await api("POST", f"/channels/{general}/messages", headers={"Content-Type": "text/plain"})
    assert broken.status == 400


async def test_missing_permissions_are_refused(box: Sandbox, api: Api, general: str) -> None:
    guild = next(iter(box.state.guilds.values()))
    role = guild.roles[guild.members[box.state.bot.id].roles[0]]
    everyone = guild.roles[guild.id]
    role.permissions = 0
    everyone.permissions = 1 << 10
    denied = await api("POST", f"/channels/{general}/messages", {"content": "x"})
    assert (denied.status, denied.body["code"]) == (403, 50013)
    everyone.permissions = 0
    hidden = await api("POST", f"/channels/{general}/messages", {"content": "x"})
    assert (hidden.status, hidden.body["code"]) == (403, 50001)
