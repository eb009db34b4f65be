"""XML: a dotted path from the root element; `*` stands for any element; `[name='text']` as a value sets an attribute.

Missing elements are made unless the path has a `*`; an empty file begins with the path's first element. Documents with entities of their
own are refused: they can grow without end, or read files. Must never fetch or expand anything.
"""

import re
from collections.abc import Iterator, Sequence

from lxml import etree

from agent.config_files.rules import Rule, Unparsable, written

_NAME = re.compile(r"[A-Za-z_][\w.\-]*\Z")
_ATTRIBUTE = re.compile(r"\[@?([A-Za-z_][\w.\-]*)='(.*)'\]\Z", re.DOTALL)
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def rewritten(text: str, rules: Sequence[Rule]) -> str:
    """The file with each rule's path set. Raises Unparsable."""
    paths = [(rule, rule.match.split(".")) for rule in rules]
    if any(not parts[0] or not all(part == "*" or _NAME.match(part) for part in parts) for _, parts in paths):
        raise Unparsable("is asked for a path that no XML file can have")
    fresh = not text.strip("\ufeff \t\r\n")
    root = _root(text) if not fresh else etree.Element(paths[0][1][0]) if paths and paths[0][1][0] != "*" else None
    if root is None:
        return text
    changed = fresh
    for rule, (first, *rest) in paths:
        if first in ("*", root.tag):
            changed |= _set(root, rest, rule)
    if not changed:
        return text
    tree = root.getroottree()
    if fresh:
        etree.indent(tree, "  ")
    body = etree.tostring(tree, encoding="unicode")
    head = _declaration(text)
    return f"{head or (_HEAD if fresh else '')}{body}\n"


_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def _declaration(text: str) -> str:
    """The file's own first line `<?xml … ?>`, which lxml does not give back with text."""
    found = re.match(r"\ufeff?\s*(<\?xml[^>]*\?>)\s*", text)
    return found[1] + "\n" if found else ""


def _root(text: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False)
    body = re.sub(r"\A\ufeff?\s*<\?xml[^>]*\?>", "", text)  # its encoding is that of the bytes, and we hold text
    try:
        root = etree.fromstring(body.encode("utf-8"), parser)
    except (etree.XMLSyntaxError, ValueError, UnicodeEncodeError) as error:
        raise Unparsable(f"is not XML ({error})") from None
    if root is None:
        raise Unparsable("is not XML")
    if root.getroottree().docinfo.internalDTD is not None or any(True for _ in root.iter(etree.Entity)):
        raise Unparsable("has a document type or entities of its own, which are not read for safety")
    return root


def _set(root: etree._Element, parts: Sequence[str], rule: Rule) -> bool:
    found = list(_elements(root, parts))
    if not found and "*" not in parts and rule.if_value is None:
        found = [_made(root, parts)]
    changed = False
    for element in found:
        put = rule.put((element.text or "").strip())
        if put is None:
            continue
        text = _FORBIDDEN.sub("", written(put))
        attribute = _ATTRIBUTE.match(text)
        if attribute:
            changed |= element.get(attribute[1]) != attribute[2]
            element.set(attribute[1], attribute[2])
        elif element.text != text:
            element.text = text
            changed = True
    return changed


def _elements(element: etree._Element, parts: Sequence[str]) -> Iterator[etree._Element]:
    if not parts:
        yield element
        return
    for child in element:
        if not isinstance(child, etree._Comment | etree._ProcessingInstruction) and parts[0] in ("*", child.tag):
            yield from _elements(child, parts[1:])


def _made(element: etree._Element, parts: Sequence[str]) -> etree._Element:
    """The element at the path, made with those on the way, each on a line of its own under its neighbours."""
    for part in parts:
        there = element.find(part)
        if there is None:
            before = element[-1] if len(element) else None
            there = etree.SubElement(element, part)
            if before is not None:
                there.tail, before.tail = before.tail, element.text if (element.text or "").isspace() else before.tail
        element = there
    return element
