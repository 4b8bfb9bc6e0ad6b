"""Values of options that are more than text: durations, endpoints, pairs.

Lives here: how they are written on the command line. Must not live here: the grammar of durations (`api.durations`), or which values an
option takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import click

from api.durations import parse_duration


class DurationType(click.ParamType[float]):
    """A duration such as `90s`, `5m`, `1h`, `7d`; seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class EndpointType(click.ParamType[Mapping[str, object]]):
    """An endpoint: a URL, and after commas `scope=`, `priority=`, `cidr=`, and `via=` for each hub that leads to it."""

    name = "endpoint"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mapping[str, object]:
        if not isinstance(value, str):
            return dict(value)
        url, *rest = value.split(",")
        entry: dict[str, object] = {"url": url}
        for part in rest:
            key, equals, text = part.partition("=")
            if not equals or key not in ("scope", "priority", "cidr", "via"):
                self.fail(f"{part!r} is none of scope=, priority=, cidr=, via=; write https://host,scope=lan,priority=10", param, ctx)
            if key == "priority" and not text.isdecimal():
                self.fail("priority must be a whole number; lower is tried first", param, ctx)
            if key == "via":
                entry["via"] = [*cast(list[str], entry.get("via", [])), text]
                continue
            entry["cidr_hint" if key == "cidr" else key] = int(text) if key == "priority" else text
        return entry


class PairType(click.ParamType[tuple[str, object]]):
    """`key=value`; a value that is JSON is taken as such (so `null` removes the key), any other is text."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, object]:
        import json

        if not isinstance(value, str):
            return (value[0], value[1])
        key, equals, text = value.partition("=")
        if not equals or not key:
            self.fail("write key=value", param, ctx)
        try:
            return key, json.loads(text)
        except ValueError:
            return key, text
