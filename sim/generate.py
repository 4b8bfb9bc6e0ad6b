"""Scenario documents that nobody wrote: made from chance, or from another document by small changes.

Lives here: what chance may choose. Must not live here: where chance comes from (a seeded stream, or Hypothesis), or what a document is
worth.

Every action whose keys are of kinds known here takes part by itself, so that a new one needs no line in this file. Documents are written
for the reader of scenario files like any other. They pass over steps that cannot happen at their time (`skip_impossible`), so that nearly
all are scenarios, and they expect nothing: what must hold in every world is left to the safety checkers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

import sim.scenario.actions  # noqa: F401  # registers the actions
from api.durations import parse_duration
from sim.draws import DURATIONS_S, POINTLESS, Draw, maker, often, pair
from sim.reduction import members, tables, with_tables, with_world
from sim.scenario.actions.registry import ACTIONS, FAULTS
from sim.scenario.kinds import keys_of
from sim.scenario.write import Document, duration
from sim.surroundings import links, platform, with_nats

NAMES: Final = "abcd"
STEPS_MAX: Final = 14
FOR_MAX_S: Final = 7200.0
REST_S: Final = 60.0
"""How long a world goes on after its last step."""

LENGTHS_S: Final = (60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0)
BLOCKING: Final = frozenset({"wait"})
"""Actions that hold up the others, which a generated document has no use for."""


def generatable() -> dict[str, type]:
    """The actions that chance can make: those of which every key that is required has a kind known here."""
    return {
        word: cls
        for word, cls in sorted(ACTIONS.items())
        if word not in BLOCKING
        and all(maker(field.metadata) is not None or field.default is not attrs.NOTHING for field in keys_of(cls).values())
    }


# --- documents -------------------------------------------------------------------------------------------------------


def step(draw: Draw, words: Sequence[str], names: Sequence[str], at: float) -> dict[str, Any]:
    """A step of one of these actions."""
    word = draw.among(words)
    made: dict[str, Any] = {"t": duration(at), "do": word}
    for key, field in keys_of(ACTIONS[word]).items():
        make = maker(field.metadata)
        if make is not None and (field.default is attrs.NOTHING or often(draw, 25)):
            made[key] = make(draw, names, made)
    if made.get("peer") is not None and made.get("peer") == made.get("on"):
        made["peer"] = draw.among([name for name in names if name != made["on"]])
    return made


def swarm(draw: Draw) -> list[str]:
    """The actions that one document may use: a few faults, and most of what operators do. Without quiet some faults never show."""
    return [word for word in generatable() if often(draw, 35 if word in FAULTS else 80)] or ["propose"]


def document(draw: Draw) -> Document:
    """A document from nothing but chance."""
    names = NAMES[: draw.among((2, 2, 2, 3, 3, 4))]
    world: dict[str, Any] = {"seed": draw.whole(1, 999), "for": duration(draw.among(LENGTHS_S)), "skip_impossible": True}
    if often(draw, 50):
        world["buggify"] = True
    if often(draw, 25):
        world["chores"] = True
    words, at, steps = swarm(draw), 0.0, []
    for peering in _beginning(draw, names):
        steps.append({"t": duration(round(at, 3)), **peering})
        at += draw.among((0.0, 0.01, 1.0, 10.0))
    steps += draw.several(STEPS_MAX, lambda draw: step(draw, words, names, _anywhere(draw, at)))
    made = {"name": "generated", "description": "Made by chance.", "world": world, "platform": [platform(draw, name) for name in names]}
    return in_time(with_nats(draw, with_tables(with_tables(made, "link", links(draw, names)), "at", steps), 25))


def _anywhere(draw: Draw, after: float) -> float:
    """A moment near one that matters, on every scale, and now and then one moment after another."""
    return round(draw.among((0.0, after)) + draw.among((0.0, *DURATIONS_S[:14])) + draw.among((0.0, 0.0, 0.02, 0.5, 7.0)), 3)


def _beginning(draw: Draw, names: Sequence[str]) -> list[dict[str, Any]]:
    """Most documents begin with a peering, because hardly anything can happen without."""
    one, other = pair(draw, names)
    peerings: tuple[list[dict[str, Any]], ...] = (
        [],
        [{"do": "propose", "on": one, "peer": other}],
        [{"do": "propose", "on": one, "peer": other}, {"do": "accept_invitation", "on": other, "peer": one}],
        [
            {"do": "propose", "on": one, "peer": other},
            {"do": "propose", "on": other, "peer": one},
            {"do": "accept", "on": other, "peer": one},
        ],
    )
    return draw.among(peerings)


WORDS_OF_HONOUR: Final = frozenset({"resolve_migration"})
"""Actions by which an operator tells the platform what it cannot know; drawn by chance they are lies."""


def in_time(document: Document) -> Document:
    """A copy with steps in order and to the point that lasts long enough for them, and no longer than is affordable."""
    boxes = {str(row["name"]) for row in tables(document, "nat")}
    sound = (step for step in tables(document, "at") if not _pointless(step) and step.get("nat") in (None, *boxes))
    steps = sorted(sound, key=lambda step: parse_duration(step["t"]))
    steps = [step for step in steps if parse_duration(step["t"]) <= FOR_MAX_S - REST_S]
    last = parse_duration(steps[-1]["t"]) if steps else 0.0
    length = min(max(parse_duration(document["world"]["for"]), last + REST_S), FOR_MAX_S)
    return with_tables(with_world(document, **{"for": duration(length)}), "at", steps)


def _pointless(step: Mapping[str, Any]) -> bool:
    """Whether a step shows nothing: whoever attacks as himself may do what he does, and an operator's word that is not true may do harm."""
    himself = step.get("claims") is not None and step.get("claims") == step.get("by")
    return step.get("do") in WORDS_OF_HONOUR or himself or any(isinstance(value, str) and value in POINTLESS for value in step.values())


# --- changes ---------------------------------------------------------------------------------------------------------


def mutated(draw: Draw, document: Document, other: Document) -> Document:
    """A document by one to four small changes of `document`; steps may be taken from `other`."""
    changed = with_world(with_tables(document, "expect", ()), converge=None, skip_impossible=True, schedule=None)
    words = swarm(draw)
    for _ in range(draw.whole(1, 4)):
        changed = draw.among(_CHANGES)(draw, changed, other, words)
    turns = {"buggify": True if often(draw, 50) else None, "chores": True if often(draw, 25) else None}
    return in_time(with_world(changed, seed=draw.whole(1, 1_000_000), **turns))


def _names(document: Document) -> list[str]:
    return [name for row in tables(document, "platform") for name in members(row)]


def _moment(draw: Draw, document: Document) -> float:
    """Anywhere, or shortly after another step: most races are won or lost within milliseconds of something."""
    steps = tables(document, "at")
    if steps and often(draw, 70):
        return round(parse_duration(draw.among(steps)["t"]) + draw.among((0.0, *DURATIONS_S[:9])), 3)
    return float(draw.whole(0, int(parse_duration(document["world"]["for"]))))


def _more_steps(draw: Draw, document: Document, other: Document, words: Sequence[str]) -> Document:
    names = _names(document)
    if len(names) < 2:
        return document
    made = [step(draw, words, names, _moment(draw, document)) for _ in range(draw.whole(1, 3))]
    return with_tables(document, "at", [*tables(document, "at"), *made])


def _fewer_steps(draw: Draw, document: Document, other: Document, words: Sequence[str]) -> Document:
    steps = tables(document, "at")
    if steps:
        steps.pop(draw.whole(0, len(steps) - 1))
    return with_tables(document, "at", steps)


def _moved_step(draw: Draw, document: Document, other: Document, words: Sequence[str]) -> Document:
    steps = tables(document, "at")
    if not steps:
        return document
    number = draw.whole(0, len(steps) - 1)
    steps[number] = {**steps[number], "t": duration(_moment(draw, document))}
    return with_tables(document, "at", steps)


def _repeated_step(draw: Draw, document: Document, other: Document, words: Sequence[str]) -> Document:
    steps = tables(document, "at")
    if not steps:
        return document
    again = {key: value for key, value in draw.among(steps).items() if key != "name"}
    return with_tables(document, "at", [*steps, {**again, "t": duration(_moment(draw, document))}])


def _borrowed_steps(draw: Draw, document: Document, other: Document, words: Sequence[str]) -> Document:
    """Steps of another document, on the platforms of this one."""
    given, names = tables(other, "at"), _names(document)
    if not given:
        return document
    renamed = dict(zip(_names(other), [names[number % len(names)] for number in range(len(_names(other)))], strict=True))
    first = draw.whole(0, len(given) - 1)
    taken = [_renamed(row, renamed) for row in given[first : first + draw.whole(1, 4)]]
    # Where this document has fewer platforms two of the other's may have become one, which is no pair.
    whole = [row for row in taken if not any(isinstance(each, list) and len(set(map(str, each))) < len(each) for each in row.values())]
    whole = [row for row in whole if row.get("peer") is None or row["peer"] != row.get("on")]
    return with_tables(document, "at", [*tables(document, "at"), *whole])


def _renamed(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    def value(each: Any) -> Any:
        return [value(item) for item in each] if isinstance(each, list) else names.get(each, each) if isinstance(each, str) else each

    return {key: each if key in ("do", "t", "token") else value(each) for key, each in row.items() if key != "name"}


def _other_platform(draw: Draw, document: Document, other: Document, words: Sequence[str]) -> Document:
    """Another setting for one of them."""
    rows = tables(document, "platform")
    number = draw.whole(0, len(rows) - 1)
    rows[number] = {**rows[number], **platform(draw, str(rows[number]["name"]))}
    return with_tables(document, "platform", rows)


def _other_links(draw: Draw, document: Document, other: Document, words: Sequence[str]) -> Document:
    names = _names(document)
    return with_tables(document, "link", links(draw, names)) if len(names) > 1 else document


def _other_nats(draw: Draw, document: Document, other: Document, words: Sequence[str]) -> Document:
    return with_nats(draw, document, 80)


_CHANGES: Final[Sequence[Callable[[Draw, Document, Document, Sequence[str]], Document]]] = (
    _more_steps, _more_steps, _more_steps, _fewer_steps, _moved_step, _moved_step, _repeated_step, _borrowed_steps, _other_platform,
    _other_links, _other_nats,
)  # fmt: skip
"""What may be changed; what stands here more than once is as much more likely."""
