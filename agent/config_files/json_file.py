"""JSON: order kept, written with the file's own indent, else 4 spaces as Wings does. An empty file is no JSON and stays."""

import json
import re
from collections.abc import Sequence
from typing import Any

from agent.config_files.rules import Rule, Unparsable
from agent.config_files.tree import apply


def rewritten(text: str, rules: Sequence[Rule]) -> str:
    """The file with each rule's path set. Raises Unparsable."""
    try:
        tree: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unparsable(f"is not JSON ({error})") from None
    if not isinstance(tree, dict):
        raise Unparsable("holds no JSON object")
    if not apply(tree, rules):
        return text
    found = re.search(r"^\{\r?\n([ \t]+)", text.lstrip("\ufeff \t\r\n"))
    try:
        return json.dumps(tree, indent=found[1] if found else 4, ensure_ascii=False) + ("\n" if text.endswith("\n") else "")
    except (ValueError, RecursionError) as error:
        raise Unparsable(f"cannot be written again ({error})") from None
