"""Pages made from the registries and the files: `python -m sim.scenario.reference` prints `docs/scenario-reference.md`, with a folder of
scenarios behind it that folder's `README.md`.

Lives here: tables. Must not live here: anything that explains more than what a key means (`docs/scenarios.md`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

import sim.checkers  # registers the checkers
import sim.scenario.actions  # noqa: F401  # registers the actions
from sim.checkers.registry import CHECKERS, ELSEWHERE, INVARIANTS, touched_by
from sim.links import Uniform
from sim.scenario.actions.registry import ACTIONS
from sim.scenario.expectations import EXPECTATIONS
from sim.scenario.kinds import Kind, keys_of
from sim.scenario.load import load
from sim.scenario.schema import SETTINGS, Expected, LinkPart, NatPart, PlatformPart, Scenario, Step, WorldPart

_HEAD = """\
# Reference of scenario files

Every key, action, expectation and checker, as the program knows them. The [manual](scenarios.md) explains how they go together.
"""
_SHIPPED_HEAD = """\
# Shipped scenarios

Each file is documentation, demo and test in one: `powernode sim run scenarios/FILE`. The [manual](../docs/scenarios.md) explains them.

| File | What it shows |
|---|---|"""

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
    """The page of all keys, actions, expectations and checkers."""
    parts = (*_tables(), *_words("Actions", "do", ACTIONS), *_words("Expectations", "that", EXPECTATIONS), *_checkers())
    sections = [line.removeprefix("## ").strip() for part in parts for line in part.splitlines() if line.startswith("## ")]
    index = "\n".join(f"- [{title}](#{title.lower().replace(' ', '-')})" for title in sections)
    return "\n".join((_HEAD, index, "", *parts)).rstrip() + "\n"


def shipped(folder: Path) -> str:
    """The page that lists the scenario files of a folder."""
    rows = [f"| [`{file.name}`]({file.name}) | {load(file).name} |" for file in sorted(folder.glob("*.toml"))]
    return "\n".join((_SHIPPED_HEAD, *rows)) + "\n"


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
    print(shipped(Path(sys.argv[1])) if sys.argv[1:] else reference(), end="")
