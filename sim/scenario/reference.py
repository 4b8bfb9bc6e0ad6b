"""The reference of the file format, as Markdown made from the registries; `python -m sim.scenario.reference` prints it.

Lives here: tables for `docs/scenarios.md`. Must not live here: anything that explains more than what a key means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

import sim.checkers  # registers the checkers
import sim.scenario.actions  # noqa: F401  # registers the actions
from sim.checkers.registry import CHECKERS, ELSEWHERE, INVARIANTS, touched_by
from sim.links import Uniform
from sim.scenario.actions.registry import ACTIONS
from sim.scenario.expectations import EXPECTATIONS
from sim.scenario.kinds import Kind, keys_of
from sim.scenario.schema import SETTINGS, Expected, LinkPart, NatPart, PlatformPart, Scenario, Step, WorldPart

_TABLES = {
    "The top of the file": Scenario,
    "`[world]`": WorldPart,
    "`[[platform]]`": PlatformPart,
    "`[[nat]]`": NatPart,
    "`[[link]]`": LinkPart,
    "`[[at]]`": Step,
    "`[[expect]]`": Expected,
}


def reference() -> str:
    """All of it."""
    return "\n".join((*_tables(), *_words("Actions", "do", ACTIONS), *_words("Expectations", "that", EXPECTATIONS), *_checkers()))


def _tables() -> Iterator[str]:
    yield "## Keys\n"
    for title, cls in _TABLES.items():
        yield f"### {title}\n"
        yield "| Key | Value | Default | Meaning |\n|---|---|---|---|"
        yield from (f"| {' | '.join(row)} |" for row in _keys(cls))
        yield ""
    settings = ", ".join(f"`{key}` ({kind.title})" for key, (_, kind) in sorted(SETTINGS.items()))
    yield f"Federation settings that may stand in a `[[platform]]`: {settings}.\n"


def _keys(cls: type) -> Iterator[tuple[str, str, str, str]]:
    for key, field in keys_of(cls).items():
        kind: Kind = field.metadata["kind"]
        yield f"`{key}`", kind.title, _default(field), field.metadata["text"]


def _default(field: attrs.Attribute[Any]) -> str:
    if field.default is attrs.NOTHING:
        return "required"
    if field.default is None:
        return ""
    if isinstance(field.default, bool):
        return str(field.default).lower()
    if isinstance(field.default, Uniform):
        return f"{field.default.least_s * 1000:g}ms to {field.default.most_s * 1000:g}ms"
    if isinstance(field.default, tuple):
        return "none"
    return f"{field.default:g}" if isinstance(field.default, float) else f"`{field.default}`"


def _words(title: str, word_key: str, classes: Mapping[str, type]) -> Iterator[str]:
    yield f"## {title}\n\n| `{word_key}` | Meaning | Keys |\n|---|---|---|"
    for word, cls in sorted(classes.items()):
        keys = "<br>".join(f"{key}{_aside(default)}: {text}" for key, _, default, text in _keys(cls))
        yield f"| `{word}` | {' '.join((cls.__doc__ or '').split())} | {keys} |"
    yield ""


def _aside(default: str) -> str:
    return "" if default == "required" else " (optional)" if not default else f" (optional, {default})"


def _checkers() -> Iterator[str]:
    yield "## Safety checkers\n\n| Checker | What must hold | Invariants | Touched by |\n|---|---|---|---|"
    for name, cls in sorted(CHECKERS.items()):
        yield f"| `{name}` | {cls.meaning} | {' '.join(cls.holds)} | {', '.join(touched_by(cls))} |"
    yield "\n## Invariants\n\n| | What is promised | Held by |\n|---|---|---|"
    for label, text in INVARIANTS.items():
        holders = ", ".join(f"`{name}`" for name, cls in sorted(CHECKERS.items()) if label in cls.holds)
        yield f"| {label} | {text} | {'; '.join(part for part in (holders, ELSEWHERE.get(label, '')) if part)} |"


if __name__ == "__main__":
    print(reference())
