"""Values of options that are more than text: durations, endpoints, pairs.

Lives here: how they are written on the command line. Must not live here: the grammar of durations (`api.durations`), or which values an
option takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, ParamSpec, TypeVar, cast

import click

from api.durations import parse_duration

P = ParamSpec("P")
T = TypeVar("T")

DAY_S: Final = 86_400
_OLDER: Final = "powernode.ttl_days"


class DurationType(click.ParamType[float]):
    """A duration such as `90s`, `5m`, `1h`, `7d`; seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class DaysType(click.ParamType[int]):
    """A duration of whole days, as in `7d`.

    Args:
        least, most: which numbers of days are taken.
        bare: whether a bare number is taken, as days; only where the name of the option says so, since elsewhere it is one of seconds.
    """

    name = "days"

    def __init__(self, least: int = 1, most: int | None = None, *, bare: bool = False) -> None:
        self._least, self._most, self._bare = least, most, bare

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number = str(value).isdecimal()
        if number and not self._bare:
            self.fail(f"{value} of what? Write {value}d for days", param, ctx)
        try:
            days = int(value) if number else parse_duration(value) / DAY_S
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if days != int(days):
            self.fail("only whole days are counted; write 7d", param, ctx)
        if days < self._least or (self._most is not None and days > self._most):
            self.fail(f"must be from {self._least}d" + (f" to {self._most}d" if self._most is not None else " on"), param, ctx)
        return int(days)


def term_option(help: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Add `--ttl` in whole days; the command is given `ttl_days`. Its older name `--ttl-days` takes a bare number as well."""

    def older(ctx: click.Context, param: click.Parameter, value: int | None) -> None:
        ctx.meta[_OLDER] = value

    def either(ctx: click.Context, param: click.Parameter, value: int | None) -> int | None:
        known: int | None = ctx.meta.get(_OLDER)
        return value if value is not None else known

    def added(function: Callable[P, T]) -> Callable[P, T]:
        days = DaysType(bare=True)
        function = click.option("--ttl-days", "older", type=days, hidden=True, expose_value=False, is_eager=True, callback=older)(function)
        return click.option("--ttl", "ttl_days", type=DaysType(), metavar="TIME", help=help, callback=either)(function)

    return added


def several(name: str, *, help: str, choices: Sequence[str] = ()) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Add an option that takes words, each time one or more with commas between; the command is given them as one text, or None.

    Args:
        choices: the words that there are; any if empty.
    """

    def joined(ctx: click.Context, param: click.Parameter, value: Sequence[str]) -> str | None:
        words = [word.strip() for text in value for word in text.split(",") if word.strip()]
        strange = [word for word in words if choices and word not in choices]
        if strange:
            raise click.BadParameter(f"{strange[0]!r} is not one of {', '.join(choices)}", ctx, param)
        return ",".join(words) or None

    of = f" ({', '.join(choices)})" if choices else ""
    return click.option(name, multiple=True, metavar="A[,B]", callback=joined, help=f"{help}{of}; may be repeated.")


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
