"""What Discord demands of a modal, and of the values a person submits in one.

Must never know interactions; it sees a body and says what is wrong with it.
"""

from typing import Any

from sandbox import limits
from sandbox.errors import Form, Json
from sandbox.rules import components, shapes
from sandbox.rules.components import Walk


def check(body: Json, form: Form) -> Json:
    """Validates the data of a type 9 callback and answers it as clients draw it."""
    walk = Walk(form, lambda _name: None)
    title = shapes.string(body, "title", form, low=1, high=limits.MODAL_TITLE, required=True)
    custom_id = shapes.string(body, "custom_id", form, low=1, high=limits.CUSTOM_ID, required=True)
    made = []
    for index, item in enumerate(shapes.listing(body, "components", form, low=1, high=limits.MODAL_COMPONENTS, required=True)):
        here = form.at("components", index)
        entry = shapes.as_dict(item, here)
        kind = entry.get("type")
        if kind == components.ROW:
            made.append(_row(entry, here, walk))
        elif kind == components.LABEL:
            made.append(_label(entry, here, walk))
        elif kind == components.TEXT:
            made.append(components.text_display(entry, here, walk))
        else:
            here.at("type").add("UNION_TYPE_CHOICES", 'Value of field "type" must be one of (1, 10, 18).')
    walk.number_the_rest()
    return {"title": title, "custom_id": custom_id, "components": made}


def _row(body: Json, form: Form, walk: Walk) -> Json:
    made = walk.begin(body, form)
    made["components"] = []
    for index, item in enumerate(shapes.listing(body, "components", form, low=1, high=1, required=True)):
        here = form.at("components", index)
        entry = shapes.as_dict(item, here)
        if entry.get("type") != components.TEXT_INPUT:
            here.at("type").add("UNION_TYPE_CHOICES", 'Value of field "type" must be one of (4,).')
            continue
        made["components"].append(_text_input(entry, here, walk, labelled=False))
    return made


def _label(body: Json, form: Form, walk: Walk) -> Json:
    made = walk.begin(body, form)
    made["label"] = shapes.string(body, "label", form, low=1, high=limits.MODAL_LABEL_TEXT, required=True)
    made["description"] = shapes.string(body, "description", form, high=limits.MODAL_LABEL_DESCRIPTION)
    here = form.at("component")
    if body.get("component") is None:
        here.required()
        return made
    entry = shapes.as_dict(body["component"], here)
    kind = entry.get("type")
    if kind == components.TEXT_INPUT:
        made["component"] = _text_input(entry, here, walk, labelled=True)
    elif kind in components.SELECTS:
        made["component"] = components.select(entry, here, walk, modal=True)
    elif kind == components.FILE_UPLOAD:
        made["component"] = _file_upload(entry, here, walk)
    elif kind in (components.RADIO, components.CHECKBOXES):
        made["component"] = _options(entry, here, walk)
    elif kind == components.CHECKBOX:
        checkbox = walk.begin(entry, here)
        made["component"] = checkbox | {"custom_id": walk.custom_id(entry, here), "default": shapes.boolean(entry, "default", here)}
    else:
        here.at("type").add("UNION_TYPE_CHOICES", 'Value of field "type" must be one of (3, 4, 5, 6, 7, 8, 19, 21, 22, 23).')
    return made


def _text_input(body: Json, form: Form, walk: Walk, *, labelled: bool) -> Json:
    made = walk.begin(body, form)
    made["custom_id"] = walk.custom_id(body, form)
    style = shapes.integer(body, "style", form, required=True)
    if style is not None and style not in (1, 2):
        form.at("style").choices((1, 2))
    made["style"] = style
    if labelled and body.get("label") is not None:
        form.at("label").add("COMPONENT_LABEL_NOT_ALLOWED", "A text input inside a label cannot have a label of its own")
    if not labelled:
        made["label"] = shapes.string(body, "label", form, low=1, high=limits.MODAL_LABEL_TEXT, required=True)
    low = shapes.integer(body, "min_length", form, low=0, high=limits.TEXT_INPUT_VALUE)
    high = shapes.integer(body, "max_length", form, low=1, high=limits.TEXT_INPUT_VALUE)
    if low is not None and high is not None and low > high:
        form.at("min_length").add("TEXT_INPUT_MIN_LENGTH_EXCEEDS_MAX_LENGTH", "min_length cannot be greater than max_length")
    value = shapes.string(body, "value", form, high=limits.TEXT_INPUT_VALUE)
    if value and high is not None and len(value) > high:
        form.at("value").too_long(high)
    placeholder = shapes.string(body, "placeholder", form, high=limits.TEXT_INPUT_PLACEHOLDER)
    made |= {"required": shapes.boolean(body, "required", form, default=True)}
    for key, item in (("min_length", low), ("max_length", high), ("value", value), ("placeholder", placeholder)):
        if item is not None:
            made[key] = item
    return made


def _file_upload(body: Json, form: Form, walk: Walk) -> Json:
    made = walk.begin(body, form)
    made["custom_id"] = walk.custom_id(body, form)
    low = shapes.integer(body, "min_values", form, low=0, high=limits.MODAL_FILES)
    high = shapes.integer(body, "max_values", form, low=1, high=limits.MODAL_FILES)
    made |= {"min_values": 1 if low is None else low, "max_values": 1 if high is None else high}
    made["required"] = shapes.boolean(body, "required", form, default=True)
    return made


def _options(body: Json, form: Form, walk: Walk) -> Json:
    made = walk.begin(body, form)
    made["custom_id"] = walk.custom_id(body, form)
    low, high = limits.RADIO_OPTIONS if body["type"] == components.RADIO else limits.CHECKBOX_OPTIONS
    made["options"] = components.check_options(body, form, low, high, emoji=False)
    made["required"] = shapes.boolean(body, "required", form, default=True)
    if body["type"] == components.CHECKBOXES:
        least = shapes.integer(body, "min_values", form, low=0, high=high)
        most = shapes.integer(body, "max_values", form, low=1, high=max(len(made["options"]), 1))
        made |= {"min_values": 1 if least is None else least, "max_values": len(made["options"]) if most is None else most}
    return made


def inputs(modal: Json) -> list[Json]:
    """The inputs of an answered modal, in order."""
    return [item for item in components.walk_answered(modal["components"]) if "custom_id" in item]


def complaint(entry: Json, value: Any) -> str | None:
    """Why a client would not let a person submit `value` in this input; None when it would."""
    name, kind = entry["custom_id"], entry["type"]
    if kind == components.TEXT_INPUT:
        text = "" if value is None else value
        if not isinstance(text, str):
            return f"{name} takes text"
        if entry.get("required", True) and not text:
            return f"{name} is required"
        low, high = entry.get("min_length") or 0, entry.get("max_length") or limits.TEXT_INPUT_VALUE
        return f"{name} must have {low} to {high} characters" if text and not low <= len(text) <= high else None
    if kind == components.CHECKBOX:
        return None if isinstance(value, bool | None) else f"{name} is either true or false"
    chosen = value if isinstance(value, list) else [] if value is None else [value]
    if not chosen:
        return f"{name} is required" if entry.get("required", True) and entry.get("min_values", 1) else None
    low, high = (1, 1) if kind == components.RADIO else (entry.get("min_values", 1), entry.get("max_values", 1))
    if not low <= len(chosen) <= high:
        return f"{name} takes {low} to {high} values"
    if "options" in entry and (strangers := [one for one in chosen if one not in {option["value"] for option in entry["options"]}]):
        return f"{name} does not offer {strangers[0]!r}"
    return None
