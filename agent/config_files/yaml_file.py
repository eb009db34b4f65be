"""YAML: comments, order and quotes stay (ruamel's round trip, which makes no Python objects). An empty file becomes a map."""

import re
from collections.abc import Sequence
from io import StringIO
from itertools import pairwise
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from agent.config_files.rules import Rule, Unparsable
from agent.config_files.tree import DEEPEST, apply


def rewritten(text: str, rules: Sequence[Rule]) -> str:
    """The file with each rule's path set. Raises Unparsable."""
    if _deep(text):
        raise Unparsable(f"nests deeper than {DEEPEST} levels")
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 1 << 20  # never break a line that was one
    yaml.allow_duplicate_keys = True
    try:
        tree: Any = yaml.load(text.lstrip("\ufeff"))
    except (YAMLError, ValueError, RecursionError, AttributeError, TypeError) as error:
        raise Unparsable(f"is not YAML ({str(error).splitlines()[0] if str(error) else type(error).__name__})") from None
    if tree is None:
        tree = CommentedMap()
    if not isinstance(tree, CommentedMap):
        raise Unparsable("holds no YAML map")
    if not apply(tree, rules, CommentedMap, CommentedSeq):
        return text
    _indent(yaml, text)
    out = StringIO()
    try:
        yaml.dump(tree, out)
    except (YAMLError, ValueError, RecursionError) as error:
        raise Unparsable(f"cannot be written again ({type(error).__name__})") from None
    return out.getvalue()


def _deep(text: str) -> bool:
    """Whether brackets nest beyond reason: the scanner's time grows with the square of that. Brackets within quotes count too."""
    depth = 0
    for found in re.finditer(r"[\[{\]}]", text):
        depth = depth + 1 if found[0] in "[{" else max(0, depth - 1)
        if depth > DEEPEST:
            return True
    return False


def _indent(yaml: YAML, text: str) -> None:
    """Lists in the file's own manner: indented under their key or not."""
    lines = text.split("\n")
    for before, line in pairwise(lines):
        if before.rstrip().endswith(":") and line.lstrip().startswith("- "):
            deeper = (len(line) - len(line.lstrip())) - (len(before) - len(before.lstrip()))
            if deeper > 0:
                yaml.indent(mapping=2, sequence=deeper + 2, offset=deeper)
            return
