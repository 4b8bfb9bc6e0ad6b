"""The strict reading of a scenario file: every problem in it at once, each with its line, its key and the nearest known word.

Lives here: TOML to `Scenario`. Must not live here: what a step does, or whether it can happen at its time.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

import sim.scenario.actions  # noqa: F401  # registers the actions
from api.cli.text import clean
from sim.scenario.actions.registry import ACTIONS, ANSWERED
from sim.scenario.codes import NO_ANSWER, ROUTE_CODES
from sim.scenario.expectations import EXPECTATIONS
from sim.scenario.kinds import Kind, Names, keys_of, unknown
from sim.scenario.places import Places
from sim.scenario.schema import SETTINGS, Expected, LinkPart, NatPart, PlatformPart, Scenario, Step, WorldPart, member_names

TABLES: Final[Mapping[str, type]] = {
    "world": WorldPart, "platform": PlatformPart, "nat": NatPart, "link": LinkPart, "at": Step, "expect": Expected,
}  # fmt: skip
FILE_BYTES_MAX: Final = 64_000_000
"""A recording of a busy platform is long."""
PLATFORMS_MAX: Final = 2_000
_WHAT: Final[Mapping[Names, str]] = {
    "platform": "platform of this file",
    "group": "platform of this file",
    "call": "named step of this file",
    "nat": "NAT of this file",
}
_DIGITS: Final = re.compile(r"[\d_]{4000}", re.ASCII)
"""Of more than 4,300 the interpreter makes no number."""

_PLATFORM_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}", re.ASCII)


@attrs.frozen(order=True)
class Problem:
    """One thing that is wrong with a file."""

    line: int
    key: str
    text: str


class ScenarioError(Exception):
    """A file is no scenario.

    Attributes:
        path: the file.
        problems: all that is wrong with it, in order of lines.
    """

    def __init__(self, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.problems = sorted(set(problems))
        super().__init__("\n".join(f"{path}:{problem.line}: {problem.key}: {problem.text}" for problem in self.problems))


def load(path: Path) -> Scenario:
    """The scenario in a file.

    Raises:
        ScenarioError: it cannot be read, or is no scenario.
    """
    try:
        raw = path.read_bytes()
        if len(raw) > FILE_BYTES_MAX:
            raise ScenarioError(str(path), [Problem(1, "file", f"has more than {FILE_BYTES_MAX} bytes")])
        text = raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(str(path), [Problem(1, "file", f"cannot be read: {error}")]) from error
    return parse(text, str(path))


def parse(text: str, path: str) -> Scenario:
    """The scenario in a text; `path` is what its problems are reported under.

    Raises:
        ScenarioError: it is no scenario.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"at line (\d+)", str(error))
        raise ScenarioError(path, [Problem(int(at[1]) if at else text.count("\n") + 1, "TOML", str(error))]) from error
    except RecursionError as error:
        raise ScenarioError(path, [Problem(1, "TOML", "tables and arrays within one another are too many")]) from error
    except ValueError as error:
        found = _DIGITS.search(text)
        line = text.count("\n", 0, found.start()) + 1 if found else 1
        raise ScenarioError(path, [Problem(line, "TOML", "a number of so many digits is none that any key takes")]) from error
    reading = _Reading(data, Places(text), path)
    scenario = reading.scenario()
    if scenario is None or reading.problems:
        raise ScenarioError(path, reading.problems)
    return scenario


class _Reading:
    """One reading; it goes on after a problem, so that all are found."""

    def __init__(self, data: dict[str, Any], places: Places, path: str) -> None:
        self.data = data
        self.places = places
        self.path = path
        self.problems: list[Problem] = []
        members = self._members()
        self.known: dict[Names, set[str]] = {
            "platform": members,
            "group": members | self._named("platform"),
            "call": self._named("at"),
            "nat": self._named("nat"),
        }

    def _named(self, table: str) -> set[str]:
        rows = self.data.get(table)
        return {str(row["name"]) for row in rows if isinstance(row, dict) and "name" in row} if isinstance(rows, list) else set()

    def _members(self) -> set[str]:
        """Names of single platforms."""
        found: set[str] = set()
        rows = self.data.get("platform")
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and "name" in row:
                found.update(self._names_of("platform", row))
        return found

    def _names_of(self, table: str, row: dict[str, Any]) -> list[str]:
        """The names that a row gives: several for a `[[platform]]` of which there are several."""
        count = row.get("count", 1) if table == "platform" else 1
        usable = isinstance(count, int) and 1 <= count <= PLATFORMS_MAX
        return member_names(str(row["name"]), count if usable else 1) if "name" in row else []

    def problem(self, table: str, number: int, key: str, text: str) -> None:
        self.problems.append(Problem(self.places.line(table, number, key), clean(f"{table}.{key}".strip(".")), text))

    def scenario(self) -> Scenario | None:
        top = keys_of(Scenario)
        for key in self.data:
            if key not in TABLES and key not in top:
                self.problem("", 0, key, unknown(key, [*TABLES, *top], "key of a scenario"))
        told = self._fields(Scenario, {key: value for key, value in self.data.items() if key in top}, "", 0)
        world_table = self.data.get("world", {})
        if not isinstance(world_table, dict):
            self.problem("", 0, "world", "must be written as [world]")
            world_table = {}
        world = self._made(WorldPart, world_table, "world", 0)
        told_of = tuple(filter(None, (self._platform(row, number) for number, row in enumerate(self._rows("platform")))))
        platforms = tuple(member for platform in told_of for member in platform.members())
        nats = tuple(filter(None, (self._nat(row, number) for number, row in enumerate(self._rows("nat")))))
        links = tuple(filter(None, (self._made(LinkPart, row, "link", number) for number, row in enumerate(self._rows("link")))))
        steps = tuple(filter(None, (self._step(row, number) for number, row in enumerate(self._rows("at")))))
        expected = tuple(filter(None, (self._expected(row, number) for number, row in enumerate(self._rows("expect")))))
        self._judge_whole()
        if world is not None:
            self._judge_times(world, steps, expected)
        if self.problems or told is None or world is None:
            return None
        return Scenario(**told, world=world, platforms=platforms, links=links, nats=nats, steps=steps, expected=expected, path=self.path)

    def _judge_whole(self) -> None:
        if not self.data.get("platform"):
            self.problem("", 0, "platform", "at least one [[platform]] is needed")
        for table in ("platform", "nat", "at"):
            seen: set[str] = set()
            for number, row in enumerate(self._rows(table)):
                names = self._names_of(table, row)
                for name in sorted(seen.intersection(names)):
                    self.problem(table, number, "name", f"{name!r} is there already")
                seen.update(names)

    def _judge_times(self, world: WorldPart, steps: tuple[Step, ...], expected: tuple[Expected, ...]) -> None:
        ends = [(step.line, "at.t", step.t) for step in steps]
        for each in expected:
            since, within_s = (getattr(each.expectation, name, None) or 0.0 for name in ("t", "within_s"))
            ends.append((each.line, f"expect.{'within' if within_s else 't'}", since + within_s))
        for line, key, at in ends:
            if at > world.for_s:
                self.problems.append(Problem(line, key, f"{at:g} s is after the end of the world at {world.for_s:g} s"))

    def _rows(self, table: str) -> list[dict[str, Any]]:
        rows = self.data.get(table, [])
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
        self.problem("", 0, table, f"must be written as [[{table}]]")
        return []

    def _fields(self, cls: type, row: Mapping[str, Any], table: str, number: int, others: tuple[str, ...] = ()) -> dict[str, Any] | None:
        """Arguments for `cls` from the keys of a table, or None after telling of a problem. `others` are keys that somebody else reads."""
        fields, before = keys_of(cls), len(self.problems)
        made: dict[str, Any] = {}
        for key, value in row.items():
            if key in fields:
                made[fields[key].name] = self._value(fields[key].metadata["kind"], value, table, number, key)
            elif key not in others:
                self.problem(table, number, key, unknown(key, [*fields, *others], f"key of {table or 'a scenario'}"))
        for key, field in fields.items():
            if field.default is attrs.NOTHING and key not in row:
                self.problem(table, number, key, "is missing")
        return made if len(self.problems) == before else None

    def _value(self, kind: Kind, value: object, table: str, number: int, key: str) -> Any:
        try:
            read = kind.read(value)
        except ValueError as error:
            self.problem(table, number, key, str(error))
            return None
        if kind.names is not None:
            for name in read if isinstance(read, tuple) else (read,):
                if name not in self.known[kind.names]:
                    self.problem(table, number, key, unknown(name, self.known[kind.names], _WHAT[kind.names]))
        return read

    def _made(self, cls: type, row: Mapping[str, Any], table: str, number: int) -> Any:
        made = self._fields(cls, row, table, number)
        return None if made is None else cls(**made)

    def _platform(self, row: dict[str, Any], number: int) -> PlatformPart | None:
        made = self._fields(PlatformPart, row, "platform", number, tuple(SETTINGS))
        settings = {
            SETTINGS[key][0]: self._value(SETTINGS[key][1], value, "platform", number, key) for key, value in row.items() if key in SETTINGS
        }
        if settings.get("heartbeat_interval_s") == 0:
            self.problem("platform", number, "heartbeat_interval", "must be more than nothing")
        if made is None:
            return None
        if not _PLATFORM_NAME.fullmatch(made["name"]):
            self.problem("platform", number, "name", "must be lower-case letters, digits and hyphens, beginning with a letter")
        if not 1 <= made.get("count", 1) <= PLATFORMS_MAX:
            self.problem("platform", number, "count", f"must be from 1 to {PLATFORMS_MAX}")
            return None
        if made.get("hub") is not None and made["hub"] not in [str(each.get("name")) for each in self._rows("platform")[:number]]:
            self.problem("platform", number, "hub", "must be a platform that stands before this one in the file")
        return PlatformPart(**made, settings=settings)

    def _nat(self, row: dict[str, Any], number: int) -> NatPart | None:
        """A NAT; those in front of it stand before it, so that none is behind itself."""
        made: NatPart | None = self._made(NatPart, row, "nat", number)
        before = [str(each.get("name")) for each in self._rows("nat")[:number]]
        if made is not None and made.behind is not None and made.behind not in before:
            self.problem("nat", number, "behind", "must be a NAT that stands before this one in the file")
        return made

    def _chosen(self, row: dict[str, Any], table: str, number: int, by: str, classes: Mapping[str, type]) -> type | None:
        """The class that a table names under the key `by`."""
        word = row.get(by)
        if isinstance(word, str) and word in classes:
            return classes[word]
        what = "action" if by == "do" else "expectation"
        self.problem(table, number, by, unknown(word, classes, what) if by in row else "is missing")
        return None

    def _step(self, row: dict[str, Any], number: int) -> Step | None:
        cls = self._chosen(row, "at", number, "do", ACTIONS)
        if cls is None:
            return None
        if "name" in row and row["do"] not in ANSWERED:
            self.problem("at", number, "name", f"{row['do']!r} is no call of an operator, so that there is no answer to name")
        own = keys_of(Step)
        made = self._fields(Step, row, "at", number, tuple(keys_of(cls)))
        acts = self._fields(cls, {key: value for key, value in row.items() if key not in own}, "at", number, tuple(own))
        if acts is not None and acts.get("peer") is not None and acts["peer"] == acts.get("on"):
            self.problem("at", number, "peer", "is the platform itself; name another one")
        if made is None or acts is None:
            return None
        return Step(**made, action=cls(**acts), line=self.places.line("at", number))

    def _expected(self, row: dict[str, Any], number: int) -> Expected | None:
        cls = self._chosen(row, "expect", number, "that", EXPECTATIONS)
        if cls is None:
            return None
        made = self._fields(cls, {key: value for key, value in row.items() if key != "that"}, "expect", number, ("that",))
        if made is None:
            return None
        if "call" in made:
            self._judge_code(made["call"], made["is_"], number)
        return Expected(that=str(row["that"]), expectation=cls(**made), line=self.places.line("expect", number))

    def _judge_code(self, call: str, code: str, number: int) -> None:
        """Whether the steps of that name can be answered so."""
        words = {row.get("do") for row in self._rows("at") if row.get("name") == call}
        answers = [ANSWERED[word] for word in words if isinstance(word, str) and word in ANSWERED]
        known = {NO_ANSWER}.union(*(ROUTE_CODES if each is None else each for each in answers))
        first = code.partition(" ")[0]
        if () not in answers and answers and first not in known:
            self.problem("expect", number, "is", unknown(first, known, f"answer to {call!r}"))
