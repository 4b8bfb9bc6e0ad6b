"""Finding an event in a trace, and what stands around it.

Lives here: the reading of what somebody asks for (a number, a time, or words). Must not live here: how events look.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import attrs

from api.durations import parse_duration
from sim.trace.events import TraceEvent

_TOLD_FIRST: Final = ("status", "operator", "step", "life")
"""Kinds in which words are looked for before others."""


class NoEventError(Exception):
    """Nothing in the trace is what was asked for."""


@attrs.frozen
class Window:
    """Events around one that was asked for, and a sentence about it."""

    events: Sequence[TraceEvent]
    remark: str


def window(events: Sequence[TraceEvent], asked: str, context: int) -> Window:
    """What stands around the event that `asked` means: a number, a time such as `90s`, or words that its line must hold.

    Raises:
        NoEventError: there is none.
    """
    found = matches(events, asked)
    if not found:
        raise NoEventError(f"no event of this run is {asked!r}; give a number, a time as in 90s, or words of a line as in 'b accepted'")
    first = found[0]
    middle = next(index for index, event in enumerate(events) if event.seq == first.seq)
    chain = " <".join(str(seq) for seq in causes(events, first))
    others = f"; also {', '.join(str(event.seq) for event in found[1:6])}" if len(found) > 1 else ""
    remark = f"around {first.seq}{others}; causes {chain}"
    return Window(events[max(0, middle - context) : middle + context + 1], remark)


def matches(events: Sequence[TraceEvent], asked: str) -> list[TraceEvent]:
    """The events that `asked` means, the most telling first."""
    if asked.isascii() and asked.isdigit():
        return [event for event in events if event.seq == int(asked)]
    try:
        at = parse_duration(asked)
    except ValueError:
        words = _words(asked)
        told = [event for event in events if words and set(words) <= set(_words(event.text))]
        return sorted(told, key=lambda event: (event.host.lower() not in words[:1], event.kind not in _TOLD_FIRST))
    return [event for event in events if event.at >= at][:1]


def causes(events: Sequence[TraceEvent], event: TraceEvent) -> list[int]:
    """Its number, that of its cause, that of the cause's cause, and so on."""
    by_seq = {each.seq: each for each in events}
    chain = [event.seq]
    while event.cause is not None and event.cause in by_seq:
        event = by_seq[event.cause]
        chain.append(event.seq)
    return chain


def _words(text: str) -> list[str]:
    return re.findall(r"[\w.-]+", text.lower())
