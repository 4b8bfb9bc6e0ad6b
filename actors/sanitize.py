"""Limits for what a remote platform tells about itself: free-form objects, slugs, short texts, instants.

Lives here: size, depth and character checks. Must not live here: the meaning of a capability, or the byte limit of a whole body
(the face cuts that before parsing).

Over a limit is refused, never truncated: half of a declaration is a different declaration. Nothing here repeats a remote's value
in a message; keys appear clipped, as part of a path.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

from actors.limits import (
    ARRAY_ELEMENTS_MAX,
    EXTENSION_SLUGS_MAX,
    NAME_CHARS_MAX,
    OBJECT_BYTES_MAX,
    OBJECT_DEPTH_MAX,
    OBJECT_KEYS_MAX,
    STRING_BYTES_MAX,
)
from actors.problems import Problem
from runtime.clock import parse_iso

INTEGER_MAX: Final = 2**63 - 1
INSTANT_CHARS_MAX: Final = 40
_KEY_CHARS_SHOWN: Final = 40
_SLUG = re.compile(r"[!-~]+", re.ASCII)
_BIDI_CONTROLS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def check_object(value: object, field: str, code: str = "invalid_capabilities") -> tuple[Problem, ...]:
    """Every problem of a free-form JSON object; none means that it may be stored as it is.

    Limits: nesting of objects and arrays, the object itself being level 1; keys per object; elements per array; bytes (UTF-8) per
    string and key; bytes (UTF-8) of the whole in compact JSON. The walk stops at the depth limit, and its length is bounded by the
    limit of the body that the value came in.
    """
    if not isinstance(value, dict):
        return (Problem(field, code, "must be a JSON object"),)
    if not value:
        return ()
    problems = tuple(Problem(path, code, message) for path, message in _walk(value, field, 1))
    if problems:
        return problems
    size = compact_bytes(value)
    if size > OBJECT_BYTES_MAX:
        return (Problem(field, code, f"is {size} bytes long as compact JSON; at most {OBJECT_BYTES_MAX} are taken"),)
    return ()


def compact_bytes(value: Any) -> int:
    """How long a value is as compact JSON, in bytes. It is JSON of sound text."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _walk(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    match value:
        case None | bool():
            pass
        case int():
            if abs(value) > INTEGER_MAX:
                yield path, "is an integer of more than 64 bits"
        case float():
            if not math.isfinite(value):
                yield path, "is not a JSON number"
        case str():
            yield from _check_string(value, path)
        case dict() | list() if depth > OBJECT_DEPTH_MAX:
            yield path, f"is nested deeper than {OBJECT_DEPTH_MAX} levels"
        case dict():
            if len(value) > OBJECT_KEYS_MAX:
                yield path, f"has {len(value)} keys; at most {OBJECT_KEYS_MAX} are taken"
            for key, child in value.items():
                if not isinstance(key, str):
                    yield path, "has a key that is not a string"
                    continue
                yield from _check_string(key, f"{path} (a key)")
                yield from _walk(child, f"{path}.{_shown(key)}", depth + 1)
        case list():
            if len(value) > ARRAY_ELEMENTS_MAX:
                yield path, f"has {len(value)} elements; at most {ARRAY_ELEMENTS_MAX} are taken"
            for index, child in enumerate(value):
                yield from _walk(child, f"{path}[{index}]", depth + 1)
        case _:
            yield path, "is not a JSON value"


def _check_string(text: str, path: str) -> Iterator[tuple[str, str]]:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        yield path, "contains half of a surrogate pair"
        return
    if size > STRING_BYTES_MAX:
        yield path, f"has a string of {size} bytes; at most {STRING_BYTES_MAX} are taken"


def _shown(key: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in key[:_KEY_CHARS_SHOWN])


def parse_slugs(value: object, problems: list[Problem], field: str = "extension_slugs") -> tuple[str, ...]:
    """The names of a platform's extensions: unique, in the order given.

    A slug is 1 to 64 visible ASCII characters. Problems are appended; the result then holds the good ones only.
    """
    code = "invalid_extension_slugs"
    if not isinstance(value, list):
        problems.append(Problem(field, code, "must be an array of strings"))
        return ()
    if len(value) > EXTENSION_SLUGS_MAX:
        problems.append(Problem(field, code, f"has {len(value)} elements; at most {EXTENSION_SLUGS_MAX} are taken"))
        return ()
    slugs: dict[str, None] = {}
    for index, slug in enumerate(value):
        if isinstance(slug, str) and len(slug) <= NAME_CHARS_MAX and _SLUG.fullmatch(slug):
            slugs[slug] = None
        else:
            problems.append(Problem(f"{field}[{index}]", code, f"must be 1 to {NAME_CHARS_MAX} visible ASCII characters"))
    return tuple(slugs)


def parse_short_text(value: object, problems: list[Problem], field: str, *, chars_max: int, code: str = "invalid_text") -> str | None:
    """A line of text for people, without surrounding white space; None for null and for a blank one.

    Control characters, halves of surrogate pairs and characters that reorder the text around them are refused, because the line
    will stand in an operator's terminal. A problem is appended and None returned.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        problems.append(Problem(field, code, "must be a string"))
        return None
    text = value.strip()
    if len(text) > chars_max:
        problems.append(Problem(field, code, f"has {len(text)} characters; at most {chars_max} are taken"))
        return None
    if not (text.isprintable() and text.isascii()) and any(
        unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _BIDI_CONTROLS for char in text
    ):
        problems.append(Problem(field, code, "contains a control character"))
        return None
    return text or None


def parse_instant(value: object) -> float | None:
    """The instant (seconds since the epoch) that a remote tells; None for anything that is no ISO-8601 instant with a zone."""
    if not isinstance(value, str) or len(value) > INSTANT_CHARS_MAX or "T" not in value:
        return None
    try:
        return parse_iso(value)
    except (ValueError, OverflowError):
        return None
