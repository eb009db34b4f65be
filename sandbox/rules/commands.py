"""What Discord demands of application commands: names, options, sizes, counts.

`check` reads one command; `check_all` a bulk overwrite. Answers the command as Discord stores it, without ids. Must never
store anything.
"""

import unicodedata
from typing import Any

from sandbox import limits
from sandbox.errors import DiscordError, Form, Json
from sandbox.rules import shapes

SLASH, USER, MESSAGE = 1, 2, 3
SUBCOMMAND, GROUP, STRING, INTEGER, BOOLEAN, USER_OPTION, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT = range(1, 12)
CHOOSING = frozenset({STRING, INTEGER, NUMBER})
LIMITS = {SLASH: limits.COMMANDS_SLASH, USER: limits.COMMANDS_USER, MESSAGE: limits.COMMANDS_MESSAGE}
LOCALES = frozenset((
    "ar", "bg", "cs", "da", "de", "el", "en-GB", "en-US", "es-419", "es-ES", "fi", "fr", "he", "hi", "hr", "hu", "id", "it", "ja",
    "ko", "lt", "nl", "no", "pl", "pt-BR", "ro", "ru", "sv-SE", "th", "tr", "uk", "vi", "zh-CN", "zh-TW",
))  # fmt: skip


def check(body: Any, form: Form) -> Json:
    """Validates one command; mistakes are noted in `form`."""
    command = shapes.as_dict(body, form)
    kind = command.get("type") or SLASH
    if kind not in LIMITS:
        form.at("type").choices((1, 2, 3))
        kind = SLASH
    name = _name(command, form, slash=kind == SLASH)
    description = ""
    options: list[Json] = []
    if kind == SLASH:
        description = shapes.string(command, "description", form, low=1, high=limits.COMMAND_DESCRIPTION, required=True) or ""
        options = _options(command, form, depth=0)
    else:
        if command.get("description"):
            form.at("description").add("APPLICATION_COMMAND_DESCRIPTION_NOT_ALLOWED", "Context menu commands cannot have a description")
        if command.get("options"):
            form.at("options").add("APPLICATION_COMMAND_OPTIONS_NOT_ALLOWED", "Context menu commands cannot have options")
    made: Json = {
        "type": kind, "name": name or "", "description": description, "options": options, "nsfw": shapes.boolean(command, "nsfw", form),
        "name_localizations": _localised(command, "name_localizations", form, limits.COMMAND_NAME),
        "description_localizations": _localised(command, "description_localizations", form, limits.COMMAND_DESCRIPTION),
        "default_member_permissions": _permissions(command, form), "dm_permission": shapes.boolean(command, "dm_permission", form, True),
        "contexts": shapes.listing(command, "contexts", form, high=3) or None,
        "integration_types": shapes.listing(command, "integration_types", form, high=2) or [0],
    }  # fmt: skip
    if size(made) > limits.COMMAND_CHARACTERS:
        form.add("APPLICATION_COMMAND_TOO_LARGE", f"Command exceeds maximum size ({limits.COMMAND_CHARACTERS})")
    return made


def check_one(body: Any) -> Json:
    """Validates one command. Raises 50035."""
    form = Form()
    made = check(body, form)
    form.check()
    return made


def check_all(bodies: Any) -> list[Json]:
    """Validates a bulk overwrite: a list of commands with unique names per type and within the counts. Raises 50035 or 30032."""
    form = Form()
    if not isinstance(bodies, list):
        form.bad_type("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        form.check()
        return []
    made = [check(body, form.at(index)) for index, body in enumerate(bodies)]
    seen: set[tuple[int, str]] = set()
    for index, command in enumerate(made):
        key = (command["type"], command["name"])
        if key in seen:
            form.at(index).at("name").add("APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
        seen.add(key)
    form.check()
    for kind in LIMITS:
        check_count(kind, sum(command["type"] == kind for command in made))
    return made


def check_count(kind: int, count: int) -> None:
    """Raises 30032 when a scope would hold more commands of a type than it may."""
    if count > LIMITS[kind]:
        raise DiscordError(400, 30032, f"Maximum number of application commands reached ({LIMITS[kind]}).")


def valid_name(name: str) -> bool:
    """Whether a slash command or option may be called so: letters, digits, dash, underscore, apostrophe; lower case."""
    return bool(name) and name == name.lower() and all(_name_character(one) for one in name)


def _name_character(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LN" or character in "-_'" or "\u0900" <= character <= "\u097f" or "\u0e00" <= character <= "\u0e7f"


def _name(body: Json, form: Form, *, slash: bool = True) -> str | None:
    name = shapes.string(body, "name", form, low=1, high=limits.COMMAND_NAME, required=True)
    if name is not None and (not valid_name(name) if slash else not name.strip()):
        form.at("name").add("APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    return name


def _localised(body: Json, key: str, form: Form, high: int) -> Json | None:
    if not body.get(key):
        return None
    here = form.at(key)
    given = shapes.as_dict(body[key], here)
    for locale in given:
        if locale not in LOCALES:
            here.at(locale).add("LOCALE_INVALID", f"{locale} is not a locale Discord knows")
        value = shapes.string(given, locale, here, low=1, high=high, required=True)
        if key == "name_localizations" and value is not None and body.get("type", SLASH) in (None, SLASH) and not valid_name(value):
            here.at(locale).add("APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    return given


def _permissions(body: Json, form: Form) -> str | None:
    value = shapes.integer(body, "default_member_permissions", form, low=0)
    return None if value is None else str(value)


def _options(body: Json, form: Form, *, depth: int) -> list[Json]:
    made: list[Json] = []
    names: set[str] = set()
    optional_seen = False
    for index, item in enumerate(shapes.listing(body, "options", form, high=limits.COMMAND_OPTIONS)):
        here = form.at("options", index)
        option = shapes.as_dict(item, here)
        kind = shapes.integer(option, "type", here, low=1, high=11, required=True)
        if kind is None:
            continue
        allowed = kind > GROUP or (kind == SUBCOMMAND and depth < 2) or (kind == GROUP and depth == 0)
        if not allowed or (made and (made[0]["type"] <= GROUP) != (kind <= GROUP)):
            here.at("type").add(
                "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
                "Sub-command and sub-command group option types are mutually exclusive to all other types",
            )
        entry = _option(option, here, kind, depth)
        if entry["name"] in names:
            here.at("name").add("APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", "Option name already exists")
        names.add(entry["name"])
        if entry.get("required") and optional_seen:
            here.add("APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", "Required options must be placed before non-required options")
        optional_seen = optional_seen or (kind > GROUP and not entry.get("required"))
        made.append(entry)
    return made


def _option(body: Json, form: Form, kind: int, depth: int) -> Json:
    made: Json = {
        "type": kind, "name": _name(body, form) or "",
        "description": shapes.string(body, "description", form, low=1, high=limits.COMMAND_DESCRIPTION, required=True) or "",
    }  # fmt: skip
    for key, high in (("name_localizations", limits.COMMAND_NAME), ("description_localizations", limits.COMMAND_DESCRIPTION)):
        if (given := _localised({**body, "type": SLASH}, key, form, high)) is not None:
            made[key] = given
    if kind <= GROUP:
        made["options"] = _options(body, form, depth=depth + 1 if kind == GROUP else 2)
        if kind == GROUP and any(option["type"] != SUBCOMMAND for option in made["options"]):
            form.at("options").add("APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "A sub-command group may only hold sub-commands")
        return made
    if shapes.boolean(body, "required", form):
        made["required"] = True
    if body.get("channel_types") is not None:
        made["channel_types"] = shapes.listing(body, "channel_types", form, high=20)
    _bounds(body, form, kind, made)
    choices = _choices(body, form, kind)
    if choices:
        made["choices"] = choices
    if shapes.boolean(body, "autocomplete", form):
        made["autocomplete"] = True
        if kind not in CHOOSING or choices:
            form.at("autocomplete").add(
                "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID", "Autocomplete needs a string, integer or number option without choices"
            )
    return made


def _bounds(body: Json, form: Form, kind: int, made: Json) -> None:
    if kind in (INTEGER, NUMBER):
        for key in ("min_value", "max_value"):
            if (value := shapes.number(body, key, form)) is not None:
                made[key] = value
        if made.get("min_value") is not None and made.get("max_value") is not None and made["min_value"] > made["max_value"]:
            form.at("min_value").add("NUMBER_TYPE_MAX", "min_value cannot be greater than max_value")
    if kind == STRING:
        for key, low in (("min_length", 0), ("max_length", 1)):
            if (length := shapes.integer(body, key, form, low=low, high=limits.COMMAND_STRING_LENGTH)) is not None:
                made[key] = length


def _choices(body: Json, form: Form, kind: int) -> list[Json]:
    made: list[Json] = []
    names: set[str] = set()
    for index, item in enumerate(shapes.listing(body, "choices", form, high=limits.COMMAND_CHOICES)):
        here = form.at("choices", index)
        if kind not in CHOOSING:
            here.add("APPLICATION_COMMAND_OPTIONS_CHOICES_INVALID", "Only string, integer and number options may have choices")
            break
        choice = check_choice(item, here, kind)
        if choice["name"] in names:
            here.at("name").add("APPLICATION_COMMAND_OPTIONS_CHOICE_NAME_ALREADY_EXISTS", "Option choice name already exists")
        names.add(choice["name"])
        made.append(choice)
    return made


def check_choice(item: Any, form: Form, kind: int) -> Json:
    """One choice of an option or of an autocomplete answer."""
    choice = shapes.as_dict(item, form)
    name = shapes.string(choice, "name", form, low=1, high=limits.CHOICE_NAME, required=True)
    value: Any
    if kind == STRING:
        value = shapes.string(choice, "value", form, low=1, high=limits.CHOICE_VALUE, required=True)
        if isinstance(choice.get("value"), int | float):
            form.at("value").bad_type("STRING_TYPE_CONVERT", f'Could not interpret "{choice["value"]}" as string.')
    else:
        value = shapes.number(choice, "value", form)
        if value is None and not form.failed:
            form.at("value").required()
        if kind == INTEGER and isinstance(value, float):
            form.at("value").bad_type("NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
    made: Json = {"name": name or "", "value": value}
    if (localised := _localised({**choice, "type": USER}, "name_localizations", form, limits.CHOICE_NAME)) is not None:
        made["name_localizations"] = localised
    return made


def size(command: Json) -> int:
    """The characters Discord counts towards 8000: names, descriptions and values, the longest localisation of each."""
    total = _longest(command, "name") + _longest(command, "description")
    total += sum(len(str(choice["value"])) + _longest(choice, "name") for choice in command.get("choices") or ())
    return total + sum(size(option) for option in command.get("options") or ())


def _longest(item: Json, key: str) -> int:
    return max([len(item.get(key) or ""), *(len(text) for text in (item.get(f"{key}_localizations") or {}).values())])
