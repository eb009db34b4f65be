"""Uploaded files of a message: which are attached, their names and sizes, and how `attachment://name` finds them.

Must never read a request; it is given the parts.
"""

import mimetypes
import re
from dataclasses import dataclass

from sandbox import limits
from sandbox.clock import Clock
from sandbox.errors import DiscordError, Form, Json
from sandbox.rules import shapes
from sandbox.state import Attachment

mimetypes.init()  # reads files: now, not while somebody waits
SPOILER = 1 << 3


@dataclass(frozen=True)
class Upload:
    """One part of a multipart body: its number n of `files[n]`, its name and its bytes."""

    number: int
    filename: str
    data: bytes


def too_large() -> DiscordError:
    """413 with 40005."""
    return DiscordError(413, 40005, "Request entity too large")


def safe_name(name: str) -> str:
    """A file name as Discord stores it: blanks become underscores, other odd characters go."""
    return re.sub(r"[^\w.\-]", "", re.sub(r"\s", "_", name.strip()), flags=re.ASCII)[-260:] or "unknown"


def attach(body: Json, uploads: list[Upload], kept: list[Attachment], form: Form, clock: Clock) -> list[Attachment]:
    """The attachments a message has after this body: the new ones, and on edits the listed old ones.

    `kept` are those the message has so far. A body without `attachments` keeps all and adds every upload.
    """
    for upload in uploads:
        if len(upload.data) > limits.FILE_BYTES:
            raise too_large()
    if body.get("attachments") is None:
        found = ([] if "attachments" in body else list(kept)) + [_store(upload, {}, form, clock) for upload in uploads]
    else:
        found = _listed(body, uploads, kept, form, clock)
    if len(found) > limits.FILES:
        form.at("attachments").add("BASE_TYPE_MAX_LENGTH", f"Must be {limits.FILES} or fewer in length.")
    return found


def _listed(body: Json, uploads: list[Upload], kept: list[Attachment], form: Form, clock: Clock) -> list[Attachment]:
    by_number = {str(upload.number): upload for upload in uploads}
    by_id = {item.id: item for item in kept}
    found = []
    for index, item in enumerate(shapes.listing(body, "attachments", form, high=limits.FILES)):
        here = form.at("attachments", index)
        entry = shapes.as_dict(item, here)
        key = shapes.snowflake(entry.get("id"), here.at("id"))
        if key in by_id:
            old = by_id[key]
            if "description" in entry:
                old.description = shapes.string(entry, "description", here, high=limits.FILE_DESCRIPTION)
            found.append(old)
        elif key in by_number:
            found.append(_store(by_number[key], entry, here, clock))
        elif key is not None:
            here.at("id").add("ATTACHMENT_NOT_FOUND", f"Attachment {key} is neither uploaded with this request nor on this message")
    return found


def _store(upload: Upload, entry: Json, form: Form, clock: Clock) -> Attachment:
    given = shapes.string(entry, "filename", form, high=1024) or upload.filename
    name = safe_name(given)
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if guessed.startswith("text/"):
        guessed += "; charset=utf-8"
    return Attachment(
        clock.snowflake(), name, guessed, upload.data, shapes.string(entry, "description", form, high=limits.FILE_DESCRIPTION),
        given if name != given else None, SPOILER if name.startswith("SPOILER_") else 0,
    )  # fmt: skip


def named(attachments: list[Attachment], name: str) -> Attachment | None:
    """The attachment that `attachment://name` means."""
    return next((item for item in attachments if name in (item.filename, item.title) or safe_name(name) == item.filename), None)
