"""The writing of scenario files: a document (what the TOML parser makes of a file) becomes a text that reads as the same document.

Lives here: the part of TOML that documents need. Must not live here: whether a document is a scenario (see `load`).
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from api.durations import format_duration, parse_duration

Document = dict[str, Any]
"""What `tomllib` makes of a scenario file: tables are dicts, arrays are lists."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_FIRST: Final = ("name", "description", "world", "platform", "link", "at", "expect")


def read_document(path: Path) -> Document:
    """The document in a file that `load` has found to be a scenario."""
    return tomllib.loads(path.read_text("utf-8"))


def to_toml(document: Mapping[str, Any], *, comment: str = "") -> str:
    """The text of a document; `tomllib.loads` gives an equal document back.

    Args:
        comment: put before everything else, each line behind a `#`.

    Raises:
        TypeError: a value is neither text, number, truth value, array nor table.
    """
    lines = [f"# {_CONTROLS.sub(' ', line)}".rstrip() for line in comment.splitlines()]
    if lines:
        lines.append("")
    keys = sorted(document, key=lambda key: _FIRST.index(key) if key in _FIRST else len(_FIRST))
    lines += [f"{_key(key)} = {_top_value(document[key])}" for key in keys if not _is_tables(document[key])]
    for key in keys:
        value = document[key]
        if not _is_tables(value):
            continue
        for table in [value] if isinstance(value, Mapping) else value:
            lines += ["", f"[{_key(key)}]" if isinstance(value, Mapping) else f"[[{_key(key)}]]", *_pairs(table)]
    return "\n".join(lines) + "\n"


def duration(seconds: float) -> str | float:
    """A duration as a file should write it: with a unit where that is exact."""
    text = format_duration(seconds)
    return text if parse_duration(text) == seconds else seconds


def _is_tables(value: object) -> bool:
    """Whether a value is written as a table or an array of tables of its own."""
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value))


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        yield f"{_key(key)} = {_value(value)}"


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _top_value(value: object) -> str:
    """Texts of several lines stay readable at the top of a file."""
    if isinstance(value, str) and "\n" in value and not _CONTROLS.search(value):
        quoted = value.replace("\\", "\\\\").replace('"""', '""\\"')
        return f'"""\n{quoted[:-1]}\\""""' if quoted.endswith('"') else f'"""\n{quoted}"""'
    return _value(value)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return f"{{ {', '.join(_pairs(value))} }}" if value else "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(_value(each) for each in value)}]"
    raise TypeError(f"a scenario file holds no {type(value).__name__}")


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
