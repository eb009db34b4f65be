"""From what a person typed or chose to the `data` of an interaction, checked as Discord's client checks it.

Refuses with one sentence a person understands. Must never make the interaction itself.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from sandbox import limits, objects
from sandbox.errors import Form, Json
from sandbox.rules import attachments, commands, components, modals
from sandbox.rules.attachments import Upload
from sandbox.rules.commands import (
    ATTACHMENT,
    BOOLEAN,
    CHANNEL,
    GROUP,
    INTEGER,
    MENTIONABLE,
    NUMBER,
    ROLE,
    STRING,
    USER_OPTION,
)
from sandbox.state import Channel, Guild, Message, State


class ActRefused(Exception):
    """The client would not let a person do this; the text says why."""


@dataclass
class Resolver:
    """Turns names and ids into ids and gathers `resolved`."""

    state: State
    guild: Guild | None
    base_url: str
    channel: Channel
    resolved: Json = field(default_factory=dict)

    def user(self, value: Any) -> str | None:
        """A user by id, mention or name."""
        text = str(value).strip().removeprefix("<@").removeprefix("!").removesuffix(">").removeprefix("@")
        people = [member.user for member in self.guild.members.values()] if self.guild else list(self.state.users.values())
        found = next((one for one in people if one.id == text or one.name.lower() == text.lower()), None)
        if found is None:
            return None
        self.resolved.setdefault("users", {})[found.id] = objects.user(found)
        if self.guild is not None:
            member = {
                **objects.partial_member(self.guild.members[found.id]),
                "permissions": str(self.guild.member_permissions(found.id, self.channel)),
            }
            self.resolved.setdefault("members", {})[found.id] = member
        return found.id

    def role(self, value: Any) -> str | None:
        """A role by id, mention or name."""
        text = str(value).strip().removeprefix("<@&").removesuffix(">").removeprefix("@")
        roles = self.guild.roles.values() if self.guild else ()
        found = next((one for one in roles if one.id == text or one.name.removeprefix("@").lower() == text.lower()), None)
        if found is not None:
            self.resolved.setdefault("roles", {})[found.id] = objects.role(found)
        return found.id if found is not None else None

    def place(self, value: Any, types: list[int]) -> str | None:
        """A channel by id, mention or name."""
        text = str(value).strip().removeprefix("<#").removesuffix(">").removeprefix("#")
        places = [*self.guild.channels.values(), *self.guild.threads.values()] if self.guild else []
        found = next(
            (one for one in places if (one.id == text or one.name.lower() == text.lower()) and (not types or one.type in types)), None
        )
        if found is not None:
            shown = objects.channel(self.state, found)
            shown["permissions"] = str(self.state.permissions_in(self.state.bot.id, found))
            self.resolved.setdefault("channels", {})[found.id] = shown
        return found.id if found is not None else None

    def file(self, value: Any) -> str:
        """An uploaded file: {filename, data: base64 or text, content_type?}. Raises ActRefused."""
        if not isinstance(value, dict) or not isinstance(value.get("filename"), str):
            raise ActRefused("A file is given as {filename, data}.")
        data = value.get("data", "")
        try:
            raw = data.encode() if value.get("text") else base64.b64decode(data, validate=True)
        except (ValueError, AttributeError, binascii.Error):
            raise ActRefused(f"The data of {value['filename']} is not base64.") from None
        if len(raw) > limits.FILE_BYTES:
            raise ActRefused(f"{value['filename']} is larger than 10 MiB, which Discord does not accept.")
        stored = attachments.attach({}, [Upload(0, value["filename"], raw)], [], Form(), self.state.clock)[0]
        self.state.uploads.append(stored)
        self.state.files[stored.id] = stored
        self.resolved.setdefault("attachments", {})[stored.id] = {
            **objects.attachment(self.base_url, self.channel.id, stored), "ephemeral": True,
        }  # fmt: skip
        return stored.id


def find(offered: list[Json], name: str) -> tuple[Json, list[Json], Json]:
    """The command a name such as "server restart" means, the path of subcommands, and the leaf. Raises ActRefused."""
    words = name.strip().removeprefix("/").split()
    roots = [command for command in offered if command["type"] == commands.SLASH and words and command["name"] == words[0]]
    if not roots:
        known = ", ".join(sorted({"/" + command["name"] for command in offered if command["type"] == commands.SLASH})) or "none"
        raise ActRefused(f"There is no command /{' '.join(words)} here; the commands are {known}.")
    leaf = roots[0]
    path: list[Json] = []
    for word in words[1:]:
        inner = next((option for option in leaf["options"] if option["type"] <= GROUP and option["name"] == word), None)
        if inner is None:
            raise ActRefused(f"/{' '.join(words[: len(path) + 1])} has no subcommand {word}.")
        path.append(inner)
        leaf = inner
    if any(option["type"] <= GROUP for option in leaf["options"]):
        inner_names = ", ".join(option["name"] for option in leaf["options"])
        raise ActRefused(f"/{' '.join(words)} needs a subcommand: {inner_names}.")
    return roots[0], path, leaf


def command_data(root: Json, path: list[Json], options: list[Json], resolved: Json) -> Json:
    """The data of a slash command interaction."""
    for inner in reversed(path):
        options = [{"name": inner["name"], "type": inner["type"], "options": options}]
    data: Json = {"id": root["id"], "name": root["name"], "type": root["type"], "options": options}
    if resolved:
        data["resolved"] = resolved
    if "guild_id" in root:
        data["guild_id"] = root["guild_id"]
    return data


def options_of(leaf: Json, given: Json, resolver: Resolver) -> list[Json]:
    """The options of a command, complete and of the right types. Raises ActRefused."""
    by_name = {option["name"]: option for option in leaf["options"]}
    for name in given:
        if name not in by_name:
            raise ActRefused(f"The command has no option {name}; it takes {', '.join(by_name) or 'none'}.")
    missing = [name for name, option in by_name.items() if option.get("required") and given.get(name) in (None, "")]
    if missing:
        raise ActRefused(f"The option {missing[0]} is required.")
    return [
        {"name": name, "type": by_name[name]["type"], "value": _value(by_name[name], value, resolver)}
        for name, value in given.items()
        if value not in (None, "")
    ]


def partial_options(leaf: Json, given: Json, focused: str) -> list[Json]:
    """The options of an autocomplete interaction: what is typed so far, one of them focused. Raises ActRefused."""
    option = next((one for one in leaf["options"] if one["name"] == focused), None)
    if option is None or not option.get("autocomplete"):
        raise ActRefused(f"The option {focused} does not complete.")
    made = []
    for other in leaf["options"]:
        if other["name"] == focused:
            made.append({"name": focused, "type": option["type"], "value": str(given.get(focused) or ""), "focused": True})
        elif given.get(other["name"]) not in (None, ""):
            made.append({"name": other["name"], "type": other["type"], "value": given[other["name"]]})
    return made


def _value(option: Json, value: Any, resolver: Resolver) -> Any:
    kind, name = option["type"], option["name"]
    if option.get("choices"):
        for choice in option["choices"]:
            if value == choice["value"] or str(value).lower() == choice["name"].lower() or str(value) == str(choice["value"]):
                return choice["value"]
        raise ActRefused(f"{name} must be one of {', '.join(choice['name'] for choice in option['choices'])}.")
    if kind == STRING:
        return _text(option, str(value))
    if kind in (INTEGER, NUMBER):
        return _number(option, value)
    if kind == BOOLEAN:
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise ActRefused(f"{name} must be True or False.")
    if kind == ATTACHMENT:
        return resolver.file(value)
    found: str | None = None
    if kind in (USER_OPTION, MENTIONABLE):
        found = resolver.user(value)
    if kind in (ROLE, MENTIONABLE) and found is None:
        found = resolver.role(value)
    if kind == CHANNEL:
        found = resolver.place(value, option.get("channel_types") or [])
    if found is None:
        what = {USER_OPTION: "member", ROLE: "role", CHANNEL: "channel"}.get(kind, "member or role")
        raise ActRefused(f"{name} must be a {what}; {value!r} is none here.")
    return found


def _text(option: Json, value: str) -> str:
    low, high = option.get("min_length", 0), option.get("max_length", limits.COMMAND_STRING_LENGTH)
    if not low <= len(value) <= high:
        raise ActRefused(f"{option['name']} must have {low} to {high} characters, not {len(value)}.")
    return value


def _number(option: Json, value: Any) -> int | float:
    try:
        number: int | float = int(value) if option["type"] == INTEGER else float(value)
    except (TypeError, ValueError):
        raise ActRefused(f"{option['name']} must be a {'whole ' if option['type'] == INTEGER else ''}number, not {value!r}.") from None
    low, high = option.get("min_value", -limits.NUMBER), option.get("max_value", limits.NUMBER)
    if isinstance(value, bool) or not low <= number <= high:
        raise ActRefused(f"{option['name']} must be between {low} and {high}.")
    return number


def context_command(offered: list[Json], name: str, target: str, resolver: Resolver, message: Message | None) -> Json:
    """The data of a user or message command on a target. Raises ActRefused."""
    found = next((one for one in offered if one["type"] != commands.SLASH and one["name"] == name), None)
    if found is None:
        raise ActRefused(f"There is no context menu command {name!r} here.")
    if found["type"] == commands.USER:
        target_id = resolver.user(target)
        if target_id is None:
            raise ActRefused(f"There is no member {target!r} here.")
    else:
        if message is None:
            raise ActRefused("That message is not here.")
        target_id = message.id
        resolver.resolved["messages"] = {message.id: objects.message(resolver.state, resolver.base_url, message)}
    data: Json = {"id": found["id"], "name": name, "type": found["type"], "target_id": target_id, "resolved": resolver.resolved}
    if "guild_id" in found:
        data["guild_id"] = found["guild_id"]
    return data


def component(message: Message, custom_id: str, kinds: frozenset[int]) -> Json:
    """The enabled component of a message with this custom_id. Raises ActRefused."""
    known = [one for one in components.walk_answered(message.components) if one.get("custom_id") and one["type"] in kinds]
    found = next((one for one in known if one["custom_id"] == custom_id), None)
    if found is None:
        names = ", ".join(one.get("label") or one["custom_id"] for one in known) or "none"
        raise ActRefused(f"That message has no such component; it has {names}.")
    if found.get("disabled"):
        raise ActRefused(f"{found.get('label') or custom_id} is disabled.")
    return found


def selection(entry: Json, values: list[Any], resolver: Resolver) -> Json:
    """The data of a select interaction. Raises ActRefused."""
    chosen = chosen_values(entry, values, resolver)
    low, high = entry.get("min_values", 1), entry.get("max_values", 1)
    if not low <= len(chosen) <= high:
        raise ActRefused(f"Choose {low} to {high} values, not {len(chosen)}.")
    data: Json = {"custom_id": entry["custom_id"], "component_type": entry["type"], "id": entry["id"], "values": chosen}
    if entry["type"] != components.STRING_SELECT:
        data["resolved"] = resolver.resolved
    return data


def chosen_values(entry: Json, values: list[Any], resolver: Resolver) -> list[str]:
    """Values of any select as Discord sends them: option values or ids. Raises ActRefused."""
    found: list[str] = []
    for value in values:
        kind = entry["type"]
        if kind == components.STRING_SELECT:
            option = next((one for one in entry["options"] if value in (one["value"], one["label"])), None)
            found.append(option["value"] if option is not None else "")
        elif kind == components.CHANNEL_SELECT:
            found.append(resolver.place(value, entry.get("channel_types") or []) or "")
        else:
            user_id = resolver.user(value) if kind in (components.USER_SELECT, components.MENTIONABLE_SELECT) else None
            role_id = resolver.role(value) if kind in (components.ROLE_SELECT, components.MENTIONABLE_SELECT) and user_id is None else None
            found.append(user_id or role_id or "")
        if not found[-1]:
            raise ActRefused(f"{value!r} cannot be chosen here.")
    return list(dict.fromkeys(found))


def submission(modal: Json, values: Json, resolver: Resolver) -> Json:
    """The data of a modal submit. Raises ActRefused with the first input that is not well filled."""
    known = {entry["custom_id"]: entry for entry in modals.inputs(modal)}
    for name in values:
        if name not in known:
            raise ActRefused(f"The form has no input {name}; it has {', '.join(known)}.")
    made = []
    for item in modal["components"]:
        head = {"type": item["type"], "id": item["id"]}
        if item["type"] == components.ROW:
            made.append({**head, "components": [_filled(entry, values, resolver) for entry in item["components"]]})
        elif item["type"] == components.LABEL:
            made.append({**head, "component": _filled(item["component"], values, resolver)})
        else:
            made.append(head)
    data: Json = {"custom_id": modal["custom_id"], "components": made}
    if resolver.resolved:
        data["resolved"] = resolver.resolved
    return data


def _filled(entry: Json, values: Json, resolver: Resolver) -> Json:
    value = values.get(entry["custom_id"], _prefilled(entry))
    kind = entry["type"]
    if kind in components.SELECTS and value is not None:
        value = chosen_values(entry, value if isinstance(value, list) else [value], resolver)
    if (wrong := modals.complaint(entry, value)) is not None:
        raise ActRefused(wrong[0].upper() + wrong[1:] + ".")
    made: Json = {"type": kind, "id": entry["id"], "custom_id": entry["custom_id"]}
    if kind == components.TEXT_INPUT:
        return made | {"value": value or ""}
    if kind == components.CHECKBOX:
        return made | {"value": bool(value)}
    if kind == components.RADIO:
        return made | {"value": value[0] if isinstance(value, list) else value}
    chosen = value if isinstance(value, list) else [] if value is None else [value]
    if kind == components.FILE_UPLOAD:
        chosen = [resolver.file(one) for one in chosen]
    return made | {"values": chosen}


def _prefilled(entry: Json) -> Any:
    if entry["type"] == components.CHECKBOX:
        return entry.get("default", False)
    if "options" in entry:
        defaults = [option["value"] for option in entry["options"] if option["default"]]
        return (defaults[0] if defaults else None) if entry["type"] == components.RADIO else defaults
    return entry.get("value")
