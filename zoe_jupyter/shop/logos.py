"""Lets a logo through only when it can do nothing but be looked at."""

from __future__ import annotations

import re
from xml.etree import ElementTree

MAX_BYTES = 64 << 10
_ELEMENTS = frozenset((
    "svg", "g", "defs", "title", "desc", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan",
    "use", "symbol", "style", "stop", "linearGradient", "radialGradient", "clipPath", "mask",
))  # fmt: skip
_ELSEWHERE = re.compile(r"url\s*\(\s*['\"]?(?!#)|@import|expression\s*\(|javascript:|\\", re.IGNORECASE)


def logo_problem(content: bytes) -> str:
    """Why this SVG is refused; empty when it may be shown."""
    if len(content) > MAX_BYTES:
        return f"is larger than {MAX_BYTES >> 10} KiB"
    if b"<!" in content.replace(b"<!--", b"") or b"<?xml-stylesheet" in content or b"\0" in content:
        return "has a document type, entities, a style sheet or is not UTF-8"
    try:
        root = ElementTree.fromstring(content.decode())  # noqa: S314 - small, and without a document type
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        return f"is not SVG: {error}"
    for element in root.iter():
        problem = _element_problem(element)
        if problem:
            return problem
    return "" if _local(root.tag) == "svg" else "is not SVG"


def _element_problem(element: ElementTree.Element) -> str:
    name = _local(element.tag)
    if name not in _ELEMENTS:
        return f"has <{name[:40]}>, which a logo may not"
    if name == "style" and _ELSEWHERE.search(element.text or ""):
        return "has a style that refers to elsewhere"
    for key, value in element.attrib.items():
        attribute = _local(key).lower()
        if (
            attribute.startswith("on")
            or (attribute in ("href", "src") and not value.startswith("#"))
            or _ELSEWHERE.search(value)
        ):
            return f"has the attribute {attribute[:40]}, which runs code or refers to elsewhere"
    return ""


def _local(tag: object) -> str:
    return tag.rpartition("}")[2] if isinstance(tag, str) else "?"
