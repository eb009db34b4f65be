"""What Discord demands of channels and threads: names, topics, types, archive durations.

`new` and `change` read a body; must never tell anybody.
"""

from sandbox import limits
from sandbox.clock import Clock
from sandbox.errors import DiscordError, Form, Json
from sandbox.permissions import Overwrite
from sandbox.rules import shapes
from sandbox.state import Channel, Guild, Thread

MAKEABLE = (0, 2, 4, 5, 15)


def new(body: Json, guild: Guild, clock: Clock) -> Channel:
    """A guild channel from a body. Raises 50035, 10003 for an unknown category, 50035 for a full one."""
    form = Form()
    kind = shapes.integer(body, "type", form) or 0
    if kind not in MAKEABLE:
        form.at("type").choices(MAKEABLE)
    name = _channel_name(body, form, kind, required=True)
    made = Channel(clock.snowflake(), guild.id, kind, name or "", position=len(guild.channels))
    _read(body, form, made, guild)
    form.check()
    return made


def change(body: Json, channel: Channel, guild: Guild) -> None:
    """Applies a PATCH to a guild channel. Raises 50035 and changes nothing."""
    form = Form()
    name = _channel_name(body, form, channel.type, required=False)
    trial = Channel(channel.id, channel.guild_id, channel.type, name or channel.name, channel.topic, channel.position, channel.parent_id)
    trial.overwrites, trial.nsfw, trial.slowmode = channel.overwrites, channel.nsfw, channel.slowmode
    trial.default_archive_minutes, trial.available_tags = channel.default_archive_minutes, channel.available_tags
    _read(body, form, trial, guild)
    form.check()
    channel.name, channel.topic, channel.position, channel.parent_id = trial.name, trial.topic, trial.position, trial.parent_id
    channel.overwrites, channel.nsfw, channel.slowmode = trial.overwrites, trial.nsfw, trial.slowmode
    channel.default_archive_minutes, channel.available_tags = trial.default_archive_minutes, trial.available_tags


def _channel_name(body: Json, form: Form, kind: int, *, required: bool) -> str | None:
    name = shapes.string(body, "name", form, low=1, high=limits.CHANNEL_NAME, required=required, nullable=False)
    if name is None or kind in (2, 4):
        return name
    return "-".join(name.lower().split())  # text channels cannot hold blanks or capitals


def _read(body: Json, form: Form, channel: Channel, guild: Guild) -> None:
    if "topic" in body:
        channel.topic = shapes.string(body, "topic", form, high=limits.FORUM_TOPIC if channel.type == 15 else limits.CHANNEL_TOPIC) or None
    if (position := shapes.integer(body, "position", form, low=0)) is not None:
        channel.position = position
    if (slow := shapes.integer(body, "rate_limit_per_user", form, low=0, high=limits.SLOWMODE)) is not None:
        channel.slowmode = slow
    if "nsfw" in body:
        channel.nsfw = shapes.boolean(body, "nsfw", form)
    if "parent_id" in body:
        channel.parent_id = _category(body, form, channel, guild)
    if body.get("permission_overwrites") is not None:
        channel.overwrites = overwrites(body, form)
    if body.get("default_auto_archive_duration") is not None:
        channel.default_archive_minutes = archive_minutes(body, form, "default_auto_archive_duration") or channel.default_archive_minutes
    if body.get("available_tags") is not None:
        tags = shapes.listing(body, "available_tags", form, high=20)
        channel.available_tags = [
            {"id": str(tag.get("id") or f"{channel.id[:-2]}{index:02}"), "name": shapes.string(tag,
            "name", form.at("available_tags", index), low=1, high=20, required=True),
             "moderated": bool(tag.get("moderated")), "emoji_id": tag.get("emoji_id"), "emoji_name": tag.get("emoji_name")}
            for index, tag in enumerate(shapes.as_dict(one, form.at("available_tags")) for one in tags)
        ]  # fmt: skip


def _category(body: Json, form: Form, channel: Channel, guild: Guild) -> str | None:
    if body["parent_id"] is None:
        return None
    parent = guild.channels.get(str(body["parent_id"]))
    if parent is None or parent.type != 4:
        form.at("parent_id").add("CHANNEL_PARENT_INVALID", "Category does not exist")
        return None
    if channel.parent_id != parent.id and sum(one.parent_id == parent.id for one in guild.channels.values()) >= limits.CATEGORY_CHANNELS:
        form.at("parent_id").add(
            "CHANNEL_PARENT_MAX_CHANNELS", f"Maximum number of channels in category reached ({limits.CATEGORY_CHANNELS})"
        )
    return parent.id


def overwrites(body: Json, form: Form) -> list[Overwrite]:
    """Permission overwrites of a body."""
    made = []
    for index, item in enumerate(shapes.listing(body, "permission_overwrites", form, high=1000)):
        here = form.at("permission_overwrites", index)
        entry = shapes.as_dict(item, here)
        made.append(one_overwrite(shapes.snowflake(entry.get("id"), here.at("id")) or "0", entry, here))
    return made


def one_overwrite(target: str, body: Json, form: Form) -> Overwrite:
    """One overwrite from its body."""
    kind = shapes.integer(body, "type", form, low=0, high=1, required=True) or 0
    return Overwrite(target, kind, shapes.integer(body, "allow", form, low=0) or 0, shapes.integer(body, "deny", form, low=0) or 0)


def archive_minutes(body: Json, form: Form, key: str = "auto_archive_duration") -> int | None:
    """One of Discord's four durations."""
    value = shapes.integer(body, key, form)
    if value is not None and value not in limits.ARCHIVE_MINUTES:
        form.at(key).choices(limits.ARCHIVE_MINUTES)
    return value


def new_thread(body: Json, parent: Channel, guild: Guild, owner_id: str, clock: Clock, kind: int, thread_id: str | None = None) -> Channel:
    """A thread from a body. Raises 50035, or 160006 when the guild has too many."""
    form = Form()
    name = shapes.string(body, "name", form, low=1, high=limits.CHANNEL_NAME, required=True)
    minutes = archive_minutes(body, form) or parent.default_archive_minutes
    slow = shapes.integer(body, "rate_limit_per_user", form, low=0, high=limits.SLOWMODE) or 0
    tags = [str(one) for one in shapes.listing(body, "applied_tags", form, high=5)]
    for index, tag in enumerate(tags):
        if tag not in {one["id"] for one in parent.available_tags}:
            form.at("applied_tags", index).add("FORUM_TAG_UNKNOWN", "Unknown tag")
    form.check()
    if sum(not one.thread.archived for one in guild.threads.values() if one.thread) >= limits.ACTIVE_THREADS:
        raise DiscordError(400, 160006, f"Maximum number of active threads reached ({limits.ACTIVE_THREADS})")
    info = Thread(
        owner_id, clock.iso(), minutes, members={owner_id}, applied_tags=tags, invitable=shapes.boolean(body, "invitable", form, True)
    )
    return Channel(thread_id or clock.snowflake(), guild.id, kind, name or "", parent_id=parent.id, slowmode=slow, thread=info)


def change_thread(body: Json, thread: Channel, clock: Clock) -> None:
    """Applies a PATCH to a thread. Raises 50035, or 50083 when an archived thread is changed without opening it."""
    form = Form()
    info = thread.thread
    assert info is not None
    name = shapes.string(body, "name", form, low=1, high=limits.CHANNEL_NAME, nullable=False)
    minutes = archive_minutes(body, form)
    slow = shapes.integer(body, "rate_limit_per_user", form, low=0, high=limits.SLOWMODE)
    archived = shapes.boolean(body, "archived", form, info.archived)
    locked = shapes.boolean(body, "locked", form, info.locked)
    form.check()
    if info.archived and archived and set(body) - {"archived", "locked"}:
        raise DiscordError(400, 50083, "Thread is archived")
    if archived != info.archived:
        info.archived_at = clock.iso()
    thread.name, thread.slowmode = name or thread.name, thread.slowmode if slow is None else slow
    info.archived, info.locked, info.archive_minutes = archived, locked, minutes or info.archive_minutes
