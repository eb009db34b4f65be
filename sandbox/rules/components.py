"""What Discord demands of message components, legacy and v2, and the components as it answers them.

One walk over the tree checks types, nesting, lengths, the totals of v2, unique custom_ids and unique ids. Inputs that
occur in messages and in modals alike (selects) are shared with `rules.modals`. Must never touch messages or files.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox import limits
from sandbox.errors import Form, Json
from sandbox.rules import shapes

ROW, BUTTON, STRING_SELECT, TEXT_INPUT, USER_SELECT, ROLE_SELECT, MENTIONABLE_SELECT, CHANNEL_SELECT = range(1, 9)
SECTION, TEXT, THUMBNAIL, GALLERY, FILE, SEPARATOR = range(9, 15)
CONTAINER, LABEL, FILE_UPLOAD, RADIO, CHECKBOXES, CHECKBOX = 17, 18, 19, 21, 22, 23
SELECTS = frozenset({STRING_SELECT, USER_SELECT, ROLE_SELECT, MENTIONABLE_SELECT, CHANNEL_SELECT})
IN_CONTAINER = (ROW, SECTION, TEXT, GALLERY, FILE, SEPARATOR)
TOP_V2 = (*IN_CONTAINER, CONTAINER)


@dataclass(frozen=True)
class Media:
    """Where a file that a component shows can be fetched, and what it is."""

    url: str
    attachment_id: str | None = None
    name: str | None = None
    size: int | None = None
    content_type: str | None = None


@dataclass
class Walk:
    """What one tree of components has used so far."""

    root: Form
    locate: Callable[[str], Media | None]
    total: int = 0
    text: int = 0
    custom_ids: set[str] = field(default_factory=set)
    ids: set[int] = field(default_factory=set)
    unnumbered: list[Json] = field(default_factory=list)
    media: set[str] = field(default_factory=set)

    def begin(self, body: Json, form: Form) -> Json:
        """Counts a component and starts its answer with type and id."""
        self.total += 1
        made: Json = {"type": body["type"]}
        number = shapes.integer(body, "id", form, low=0, high=2**31 - 1)
        if number:
            if number in self.ids:
                form.at("id").add("COMPONENT_ID_DUPLICATED", "Component ids must be unique within a message")
            self.ids.add(number)
            made["id"] = number
        else:
            made["id"] = 0
            self.unnumbered.append(made)
        return made

    def custom_id(self, body: Json, form: Form) -> str | None:
        """A required custom_id of 1-100 characters that nothing else in this message uses."""
        value = shapes.string(body, "custom_id", form, low=1, high=limits.CUSTOM_ID, required=True)
        if value is not None and value in self.custom_ids:
            form.at("custom_id").add("COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
        if value is not None:
            self.custom_ids.add(value)
        return value

    def number_the_rest(self) -> None:
        """Gives the components without an id the next free numbers."""
        free = 1
        for made in self.unnumbered:
            while free in self.ids:
                free += 1
            self.ids.add(free)
            made["id"] = free


def check(items: list[Any], form: Form, *, v2: bool, locate: Callable[[str], Media | None]) -> list[Json]:
    """Validates the components of a message and answers them as Discord would."""
    walk = Walk(form, locate)
    if not v2 and len(items) > limits.ACTION_ROWS:
        form.add("BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {limits.ACTION_ROWS} in length.")
        return []
    if v2 and len(items) > limits.V2_COMPONENTS:
        form.add("BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {limits.V2_COMPONENTS} in length.")
        return []
    allowed = TOP_V2 if v2 else (ROW,)
    made = [_component(item, form.at(index), walk, allowed) for index, item in enumerate(items)]
    if v2 and walk.total > limits.V2_COMPONENTS:
        form.add("COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", f"The total number of components cannot exceed {limits.V2_COMPONENTS}")
    if walk.text > limits.V2_TEXT:
        form.add(
            "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", f"The displayable text size of a message cannot exceed {limits.V2_TEXT} characters"
        )
    walk.number_the_rest()
    return made


def _component(item: Any, form: Form, walk: Walk, allowed: tuple[int, ...]) -> Json:
    body = shapes.as_dict(item, form)
    kind = body.get("type")
    if isinstance(kind, bool) or kind not in allowed:
        form.at("type").add("UNION_TYPE_CHOICES", f'Value of field "type" must be one of {tuple(sorted(allowed))}.')
        return {"type": kind}
    return _KINDS[kind](body, form, walk)


def _children(body: Json, form: Form, walk: Walk, allowed: tuple[int, ...], low: int, high: int) -> list[Json]:
    items = shapes.listing(body, "components", form, low=low, high=high, required=True)
    return [_component(item, form.at("components", index), walk, allowed) for index, item in enumerate(items)]


def _row(body: Json, form: Form, walk: Walk) -> Json:
    made = walk.begin(body, form)
    made["components"] = _children(body, form, walk, (BUTTON, *sorted(SELECTS)), 1, limits.ROW_BUTTONS)
    kinds = [child.get("type") for child in made["components"]]
    if any(kind in SELECTS for kind in kinds) and len(kinds) > 1:
        form.at("components").add("COMPONENT_LAYOUT_WIDTH_EXCEEDED", "The specified component exceeds the maximum width")
    return made


def _button(body: Json, form: Form, walk: Walk) -> Json:
    made = walk.begin(body, form)
    style = shapes.integer(body, "style", form, required=True)
    if style is not None and style not in range(1, 7):
        form.at("style").choices((1, 2, 3, 4, 5, 6))
    made |= {"style": style, "disabled": shapes.boolean(body, "disabled", form)}
    label = shapes.string(body, "label", form, high=limits.BUTTON_LABEL)
    emoji = check_emoji(body, form)
    if label:
        made["label"] = label
    if emoji:
        made["emoji"] = emoji
    if style == 6:
        made["sku_id"] = shapes.snowflake(body.get("sku_id"), form.at("sku_id"))
        return made
    if not (label and label.strip()) and not emoji:
        form.add("BUTTON_COMPONENT_REQUIRES_LABEL_OR_EMOJI", "A button must have a label or an emoji")
    if style == 5:
        made["url"] = shapes.url(body, "url", form, required=True, high=limits.BUTTON_URL)
        if body.get("custom_id") is not None:
            form.add("BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE", "A custom id and url cannot both be specified")
        return made
    made["custom_id"] = walk.custom_id(body, form)
    if body.get("url") is not None:
        form.add("BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE", "A custom id and url cannot both be specified")
    return made


def check_emoji(body: Json, form: Form) -> Json | None:
    """A partial emoji: a custom one by id, or a unicode one by name."""
    if body.get("emoji") is None:
        return None
    here = form.at("emoji")
    emoji = shapes.as_dict(body["emoji"], here)
    name = shapes.string(emoji, "name", here, high=32)
    if emoji.get("id") is not None:
        return {"id": shapes.snowflake(emoji["id"], here.at("id")), "name": name, "animated": bool(emoji.get("animated"))}
    if not name or (name.isascii() and not name.isdigit()):
        here.at("name").add("COMPONENT_INVALID_EMOJI", "Invalid emoji")
        return None
    return {"id": None, "name": name}


def select(body: Json, form: Form, walk: Walk, *, modal: bool = False) -> Json:
    """Any of the five selects, in a message or in a modal's label."""
    made = walk.begin(body, form)
    made["custom_id"] = walk.custom_id(body, form)
    placeholder = shapes.string(body, "placeholder", form, high=limits.SELECT_PLACEHOLDER)
    if placeholder:
        made["placeholder"] = placeholder
    low, high = body.get("min_values"), body.get("max_values")
    low = 1 if low is None else shapes.integer(body, "min_values", form, low=0, high=limits.SELECT_OPTIONS)
    high = 1 if high is None else shapes.integer(body, "max_values", form, low=1, high=limits.SELECT_OPTIONS)
    made |= {"min_values": low, "max_values": high}
    if low is not None and high is not None and low > high:
        form.at("min_values").add("SELECT_COMPONENT_MIN_VALUES_EXCEEDS_MAX_VALUES", "min_values cannot be greater than max_values")
    disabled = shapes.boolean(body, "disabled", form)
    if modal:
        made["required"] = shapes.boolean(body, "required", form, default=True)
        if disabled:
            form.at("disabled").add("MODAL_COMPONENT_DISABLED", "Components in a modal cannot be disabled")
        if low == 0 and made["required"]:
            form.at("min_values").add("SELECT_COMPONENT_REQUIRED_MIN_VALUES", "min_values of 0 needs required to be false")
    else:
        made["disabled"] = disabled
    if body["type"] == STRING_SELECT:
        made["options"] = check_options(body, form, 1, limits.SELECT_OPTIONS)
        if made["options"] and high is not None and high > len(made["options"]):
            form.at("max_values").add("NUMBER_TYPE_MAX", f"int value should be less than or equal to {len(made['options'])}.")
        if high is not None and sum(option["default"] for option in made["options"]) > high:
            form.at("options").add("SELECT_COMPONENT_TOO_MANY_DEFAULTS", "Number of default options exceeds max_values")
    else:
        made["default_values"] = _default_values(body, form, high)
    if body["type"] == CHANNEL_SELECT:
        made["channel_types"] = shapes.listing(body, "channel_types", form, high=20)
    return made


def check_options(body: Json, form: Form, low: int, high: int, *, emoji: bool = True) -> list[Json]:
    """Options of a select, radio group or checkbox group."""
    made: list[Json] = []
    seen: set[str] = set()
    for index, item in enumerate(shapes.listing(body, "options", form, low=low, high=high, required=True)):
        here = form.at("options", index)
        option = shapes.as_dict(item, here)
        label = shapes.string(option, "label", here, low=1, high=limits.SELECT_LABEL, required=True)
        value = shapes.string(option, "value", here, low=1, high=limits.SELECT_VALUE, required=True)
        description = shapes.string(option, "description", here, high=limits.SELECT_DESCRIPTION)
        if value is not None and value in seen:
            here.at("value").add("SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", "The specified option value is already used")
        seen.add(value or "")
        face = check_emoji(option, here) if emoji else None
        made.append({
            "label": label or "", "value": value or "", "default": shapes.boolean(option, "default", here),
            **({"description": description} if description else {}), **({"emoji": face} if face else {}),
        })  # fmt: skip
    return made


def _default_values(body: Json, form: Form, high: int | None) -> list[Json]:
    made = []
    for index, item in enumerate(shapes.listing(body, "default_values", form, high=high or limits.SELECT_OPTIONS)):
        here = form.at("default_values", index)
        value = shapes.as_dict(item, here)
        if value.get("type") not in ("user", "role", "channel"):
            here.at("type").choices(("user", "role", "channel"))
        made.append({"id": shapes.snowflake(value.get("id"), here.at("id")), "type": value.get("type")})
    return made


def _section(body: Json, form: Form, walk: Walk) -> Json:
    made = walk.begin(body, form)
    made["components"] = _children(body, form, walk, (TEXT,), *limits.SECTION_TEXTS)
    if body.get("accessory") is None:
        form.at("accessory").required()
    else:
        made["accessory"] = _component(body["accessory"], form.at("accessory"), walk, (BUTTON, THUMBNAIL))
    return made


def text_display(body: Json, form: Form, walk: Walk) -> Json:
    """A TextDisplay: its characters count towards the 4000 of the message."""
    made = walk.begin(body, form)
    content = shapes.string(body, "content", form, low=1, high=limits.V2_TEXT, required=True)
    walk.text += len(content or "")
    made["content"] = content or ""
    return made


def _thumbnail(body: Json, form: Form, walk: Walk) -> Json:
    made = walk.begin(body, form)
    made["media"] = _media(body, "media", form, walk)
    made["description"] = shapes.string(body, "description", form, high=limits.ALT_TEXT)
    made["spoiler"] = shapes.boolean(body, "spoiler", form)
    return made


def _gallery(body: Json, form: Form, walk: Walk) -> Json:
    made = walk.begin(body, form)
    made["items"] = []
    low, high = limits.GALLERY_ITEMS
    for index, item in enumerate(shapes.listing(body, "items", form, low=low, high=high, required=True)):
        here = form.at("items", index)
        entry = shapes.as_dict(item, here)
        made["items"].append({
            "media": _media(entry, "media", here, walk), "spoiler": shapes.boolean(entry, "spoiler", here),
            "description": shapes.string(entry, "description", here, high=limits.ALT_TEXT),
        })  # fmt: skip
    return made


def _file(body: Json, form: Form, walk: Walk) -> Json:
    made = walk.begin(body, form)
    made["file"] = _media(body, "file", form, walk, uploads_only=True)
    made["spoiler"] = shapes.boolean(body, "spoiler", form)
    found = (
        walk.locate(str((body.get("file") or {}).get("url", "")).removeprefix("attachment://"))
        if isinstance(body.get("file"), dict)
        else None
    )
    if found is not None:
        made |= {"name": found.name, "size": found.size}
    return made


def _separator(body: Json, form: Form, walk: Walk) -> Json:
    made = walk.begin(body, form)
    spacing = body.get("spacing")
    if spacing is not None and spacing not in (1, 2):
        form.at("spacing").choices((1, 2))
    return made | {"divider": shapes.boolean(body, "divider", form, default=True), "spacing": spacing or 1}


def _container(body: Json, form: Form, walk: Walk) -> Json:
    made = walk.begin(body, form)
    made["components"] = _children(body, form, walk, IN_CONTAINER, 1, limits.V2_COMPONENTS)
    made["accent_color"] = shapes.integer(body, "accent_color", form, low=0, high=0xFFFFFF)
    made["spoiler"] = shapes.boolean(body, "spoiler", form)
    return made


def _media(body: Json, key: str, form: Form, walk: Walk, *, uploads_only: bool = False) -> Json | None:
    here = form.at(key)
    if body.get(key) is None:
        here.required()
        return None
    value = shapes.url(shapes.as_dict(body[key], here), "url", here, attachments=True, required=True)
    if value is None:
        return None
    media: Media | None = Media(value)
    if value.startswith("attachment://"):
        media = walk.locate(value.removeprefix("attachment://"))
        if media is None:
            here.at("url").add(
                "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND", f"The referenced attachment in `{value}` was not found"
            )
            return None
    elif uploads_only and not _ours(value, walk):
        here.at("url").add("URL_TYPE_INVALID_SCHEME", f"Scheme \"{value.split(':')[0]}\" must be one of ('attachment',).")
        return None
    elif uploads_only:
        media = walk.locate(value)
    if media is None:
        return None
    walk.media.add(media.attachment_id or "")
    return {
        "id": media.attachment_id or "0", "url": media.url, "proxy_url": media.url, "width": 0, "height": 0, "placeholder": None,
        "placeholder_version": None, "content_type": media.content_type, "loading_state": 2, "flags": 0,
        **({"attachment_id": media.attachment_id} if media.attachment_id else {}),
    }  # fmt: skip


def _ours(value: str, walk: Walk) -> bool:
    return walk.locate(value) is not None


_KINDS: dict[int, Callable[[Json, Form, Walk], Json]] = {
    ROW: _row, BUTTON: _button, SECTION: _section, TEXT: text_display, THUMBNAIL: _thumbnail, GALLERY: _gallery, FILE: _file,
    SEPARATOR: _separator, CONTAINER: _container, **dict.fromkeys(SELECTS, select),
}  # fmt: skip


def walk_answered(components: list[Json]) -> list[Json]:
    """Every component of an answered tree, parents before children."""
    found: list[Json] = []
    for item in components:
        found.append(item)
        found += walk_answered(item.get("components") or [])
        for key in ("accessory", "component"):
            if isinstance(item.get(key), dict):
                found += walk_answered([item[key]])
    return found
