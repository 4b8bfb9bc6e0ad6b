"""The JSON schema of scenario files, for editors that check TOML and complete it; made from the registries, as the reference is.

Lives here: the translation of tables, actions and expectations. Must not live here: what only the reader can judge, such as whether a
name is that of a platform of the file (see `load`): a file that fits the schema may still have problems, one that does not has some.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

import sim.scenario.actions  # noqa: F401  # registers the actions
from sim.scenario.actions.registry import ACTIONS
from sim.scenario.expectations import EXPECTATIONS
from sim.scenario.kinds import keys_of
from sim.scenario.load import TABLES
from sim.scenario.schema import SETTINGS, Expected, PlatformPart, Scenario, Step

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ONE_TABLE: Final = frozenset({"world"})
"""Tables that a file has once; of the others there is a list."""


def json_schema() -> dict[str, Any]:
    """The whole schema."""
    tables = {name: _table(name, cls) for name, cls in TABLES.items()}
    top = _object(Scenario)
    return {
        "$schema": DIALECT,
        "title": "Scenario of whole platforms in virtual time",
        "type": "object",
        "properties": {
            **top["properties"],
            **{name: table if name in ONE_TABLE else {"type": "array", "items": table} for name, table in tables.items()},
        },
        "required": [*top["required"], "world", "platform"],
        "additionalProperties": False,
    }


def to_text() -> str:
    """The schema as it stands in `scenarios/scenario.schema.json`."""
    return json.dumps(json_schema(), indent=1, sort_keys=True) + "\n"


def _table(name: str, cls: type) -> dict[str, Any]:
    if cls is Step:
        return _one_of(cls, "do", ACTIONS)
    if cls is Expected:
        return _one_of(cls, "that", EXPECTATIONS)
    table = _object(cls)
    if cls is PlatformPart:
        settings = {key: {**kind.schema, "description": f"federation setting {name}"} for key, (name, kind) in SETTINGS.items()}
        table["properties"] = {**settings, **table["properties"]}
    return table


def _one_of(cls: type, by: str, classes: Mapping[str, type]) -> dict[str, Any]:
    """A table whose other keys depend on one word."""
    common = _object(cls)
    variants = []
    for word, variant in sorted(classes.items()):
        own = _object(variant)
        variants.append(
            {
                "title": word,
                "description": " ".join((variant.__doc__ or "").split()),
                "type": "object",
                "properties": {**common["properties"], **own["properties"], by: {"const": word}},
                "required": sorted({*common["required"], *own["required"]}),
                "additionalProperties": False,
            }
        )
    return {"oneOf": variants}


def _object(cls: type) -> dict[str, Any]:
    fields = keys_of(cls)
    return {
        "type": "object",
        "description": " ".join((cls.__doc__ or "").split()),
        "properties": {key: {**field.metadata["kind"].schema, "description": field.metadata["text"]} for key, field in fields.items()},
        "required": sorted(key for key, field in fields.items() if field.default is attrs.NOTHING),
        "additionalProperties": False,
    }
