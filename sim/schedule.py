"""Who takes the next turn, where a platform has more than one actor ready: drawn from a seed, recorded, or given as a tape.

Lives here: schedules. Must not live here: what a turn is (see `runtime.engine`).

A decision is counted only where there is a choice. Choice 0 is the actor that has been ready for longest, so that a schedule without
deviations takes actors in the order of their arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import attrs

from runtime.random import SeededRandomness

Pick = Callable[[int], int]
"""An index among that many ready actors."""


@attrs.frozen(order=True)
class Deviation:
    """A turn that was not given to the actor that had been ready for longest.

    Attributes:
        host: on which platform.
        number: of how many decisions of that platform it was, counted from 0.
        choice: who was taken instead; the last one if fewer are ready.
    """

    host: str
    number: int
    choice: int

    def __str__(self) -> str:
        return f"{self.host}:{self.number}:{self.choice}"


def parse_deviation(text: str) -> Deviation:
    """The deviation that `str` has written.

    Raises:
        ValueError: it is none.
    """
    host, _, rest = text.rpartition(":")[0].partition(":")
    number, choice = rest, text.rpartition(":")[2]
    if not host or not (number.isascii() and number.isdigit() and choice.isascii() and choice.isdigit()):
        raise ValueError(f"{text!r} is no deviation; write PLATFORM:DECISION:CHOICE, as in a:12:1")
    return Deviation(host, int(number), int(choice))


class Schedule(Protocol):
    """Decides for a whole world."""

    def of(self, host: str) -> Pick:
        """What decides for a platform from its start to its end; asked again at every start."""
        ...


class Drawn:
    """Every decision is left to chance."""

    def __init__(self, seed: int | str) -> None:
        self._seed = seed

    def of(self, host: str) -> Pick:
        getrandbits = SeededRandomness(f"{self._seed}/{host}").stream("scheduler").getrandbits

        def pick(ready: int) -> int:
            # Draw for draw what `randrange` does, which takes several times as long over it; a choice is made for every turn.
            bits = ready.bit_length()
            choice = getrandbits(bits)
            while choice >= ready:
                choice = getrandbits(bits)
            return choice

        return pick


class Recorded:
    """Another schedule, and what it has decided.

    Attributes:
        deviations: every decision that was not 0, in order.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._counts: dict[str, int] = {}
        self.deviations: list[Deviation] = []

    def of(self, host: str) -> Pick:
        picked = self._schedule.of(host)

        def pick(ready: int) -> int:
            choice = picked(ready)
            if ready > 1:
                number = self._counts.get(host, 0)
                self._counts[host] = number + 1
                if choice:
                    self.deviations.append(Deviation(host, number, choice))
            return choice

        return pick


class Tape:
    """In order of arrival, but for these deviations."""

    def __init__(self, deviations: Iterable[Deviation]) -> None:
        self._choices = {(each.host, each.number): each.choice for each in deviations}
        self._counts: dict[str, int] = {}

    def of(self, host: str) -> Pick:
        def pick(ready: int) -> int:
            if ready < 2:
                return 0
            number = self._counts.get(host, 0)
            self._counts[host] = number + 1
            return min(self._choices.get((host, number), 0), ready - 1)

        return pick
