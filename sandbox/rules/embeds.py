"""What Discord demands of embeds, and the embeds as it answers them.

Must never touch messages or files; a reference to an attachment is resolved by the caller's `locate`.
"""

import datetime
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from sandbox import limits
from sandbox.errors import Form, Json
from sandbox.rules import shapes

Locate = Callable[[str], str | None]
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif"})


def check(items: list[Any], form: Form, locate: Locate) -> list[Json]:
    """Validates a list of embeds; `locate` turns an attachment's name into its URL or None."""
    if len(items) > limits.EMBEDS:
        form.add("BASE_TYPE_MAX_LENGTH", f"Must be {limits.EMBEDS} or fewer in length.")
        return []
    made = [_embed(shapes.as_dict(item, form.at(index)), form.at(index), locate) for index, item in enumerate(items)]
    if sum(text_length(embed) for embed in made) > limits.EMBED_TOTAL:
        form.add("MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {limits.EMBED_TOTAL}")
    return [embed for embed in made if len(embed) > 2]


def text_length(embed: Json) -> int:
    """The characters that count towards the 6000 of a message."""
    total = len(embed.get("title") or "") + len(embed.get("description") or "")
    total += len((embed.get("footer") or {}).get("text") or "") + len((embed.get("author") or {}).get("name") or "")
    return total + sum(len(field["name"]) + len(field["value"]) for field in embed.get("fields") or ())


def media_urls(items: list[Json]) -> set[str]:
    """The addresses of all pictures that embeds show."""
    found: set[str] = set()
    for item in items:
        for key, part in (("image", "url"), ("thumbnail", "url"), ("author", "icon_url"), ("footer", "icon_url")):
            found.add((item.get(key) or {}).get(part) or "")
    return found


def _embed(body: Json, form: Form, locate: Locate) -> Json:
    made: Json = {"type": "rich", "content_scan_version": 0}
    for key, value in (
        ("title", shapes.string(body, "title", form, high=limits.EMBED_TITLE)),
        ("description", shapes.string(body, "description", form, high=limits.EMBED_DESCRIPTION)),
        ("url", shapes.url(body, "url", form)),
        ("color", shapes.integer(body, "color", form, low=0, high=0xFFFFFF)),
        ("timestamp", _timestamp(body, form)),
        ("footer", _footer(body, form, locate)),
        ("author", _author(body, form, locate)),
        ("image", _image(body, "image", form, locate)),
        ("thumbnail", _image(body, "thumbnail", form, locate)),
        ("fields", _fields(body, form)),
    ):
        if value or value == 0:
            made[key] = value
    return made


def _timestamp(body: Json, form: Form) -> str | None:
    value = shapes.string(body, "timestamp", form, high=100)
    if value is None:
        return None
    try:
        datetime.datetime.fromisoformat(value)
    except ValueError:
        form.at("timestamp").add("DATE_TIME_TYPE_PARSE", f"Could not parse {value}. Should be ISO8601.")
        return None
    return value


def _footer(body: Json, form: Form, locate: Locate) -> Json | None:
    if body.get("footer") is None:
        return None
    here = form.at("footer")
    footer = shapes.as_dict(body["footer"], here)
    text = shapes.string(footer, "text", here, high=limits.EMBED_FOOTER, required=True)
    icon = _media_url(footer, "icon_url", here, locate)
    return {"text": text or "", **({"icon_url": icon, "proxy_icon_url": icon} if icon else {})}


def _author(body: Json, form: Form, locate: Locate) -> Json | None:
    if body.get("author") is None:
        return None
    here = form.at("author")
    author = shapes.as_dict(body["author"], here)
    name = shapes.string(author, "name", here, low=1, high=limits.EMBED_AUTHOR, required=True)
    url = shapes.url(author, "url", here)
    icon = _media_url(author, "icon_url", here, locate)
    return {"name": name or "", **({"url": url} if url else {}), **({"icon_url": icon, "proxy_icon_url": icon} if icon else {})}


def _image(body: Json, key: str, form: Form, locate: Locate) -> Json | None:
    if not body.get(key):
        return None
    found = _media_url(shapes.as_dict(body[key], form.at(key)), "url", form.at(key), locate)
    return {"url": found, "proxy_url": found, "width": 0, "height": 0, "flags": 0} if found else None


def _media_url(body: Json, key: str, form: Form, locate: Locate) -> str | None:
    value = shapes.url(body, key, form, attachments=True)
    if value is None or not value.startswith("attachment://"):
        return value
    name = value.removeprefix("attachment://")
    if PurePosixPath(name).suffix.lower() not in IMAGE_SUFFIXES:
        form.at(key).add("URL_TYPE_INVALID_URL", "Only png, jpg, webp and gif attachments may be used in an embed.")
        return None
    return locate(name)  # an unknown name leaves the picture out, as Discord does


def _fields(body: Json, form: Form) -> list[Json]:
    made = []
    for index, item in enumerate(shapes.listing(body, "fields", form, high=limits.EMBED_FIELDS)):
        here = form.at("fields", index)
        field = shapes.as_dict(item, here)
        name = shapes.string(field, "name", here, low=1, high=limits.EMBED_FIELD_NAME, required=True)
        value = shapes.string(field, "value", here, low=1, high=limits.EMBED_FIELD_VALUE, required=True)
        for key, text in (("name", name), ("value", value)):
            if text is not None and not text.strip():
                here.at(key).required()
        made.append({"name": name or "", "value": value or "", "inline": shapes.boolean(field, "inline", here)})
    return made
