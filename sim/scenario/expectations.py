"""What a scenario may expect, judged when the world has run.

Lives here: the expectations, as pure questions to the history of a run. Must not live here: what must hold in every world (`checkers`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar, runtime_checkable

import attrs

from sim.scenario.history import History
from sim.scenario.kinds import CALL, DURATION, PLATFORM, STATUS, STATUS_SET, TEXT, key


class Expectation(Protocol):
    """Something that must hold in one scenario."""

    def failure(self, history: History) -> str | None:
        """What is wrong, or None if it holds."""
        ...


@runtime_checkable
class Hope(Protocol):
    """Something that need not hold in one run, but must happen in some run of a sweep, or the scenario does not show what it is for."""

    def hope(self) -> str:
        """What is hoped for, in a few words."""
        ...

    def reached(self, history: History) -> bool:
        """Whether it happened in this run."""
        ...


EXPECTATIONS: Final[dict[str, type]] = {}
"""Word in the file to the class of the expectation."""

_Class = TypeVar("_Class", bound=type)


def expectation(word: str) -> Callable[[_Class], _Class]:
    """Register a class under the word that files use for it."""

    def register(cls: _Class) -> _Class:
        EXPECTATIONS[word] = cls
        return cls

    return register


def _on() -> Mapping[str, object]:
    return key(PLATFORM, "on whose side")


def _peer() -> Mapping[str, object]:
    return key(PLATFORM, "which peer")


@expectation("status")
@attrs.frozen(kw_only=True)
class StatusIs:
    """The committed status of a row at one moment."""

    on: str = attrs.field(metadata=_on())
    peer: str = attrs.field(metadata=_peer())
    is_: str = attrs.field(metadata=key(STATUS, "the status", "is"))
    t: float | None = attrs.field(default=None, metadata=key(DURATION, "when; the end of the world if not given"))

    def failure(self, history: History) -> str | None:
        at = history.end if self.t is None else self.t
        found = history.status_at(self.on, self.peer, at)
        return None if found == self.is_ else f"{self.peer} on {self.on} is {found} and not {self.is_} at {at:g} s"


@expectation("eventually")
@attrs.frozen(kw_only=True)
class Eventually:
    """A row has a status at some moment of a span of time."""

    on: str = attrs.field(metadata=_on())
    peer: str = attrs.field(metadata=_peer())
    is_: str = attrs.field(metadata=key(STATUS, "the status", "is"))
    t: float = attrs.field(default=0.0, metadata=key(DURATION, "from when on"))
    within_s: float = attrs.field(metadata=key(DURATION, "how long it may take", "within"))

    def failure(self, history: History) -> str | None:
        until = self.t + self.within_s
        found = history.statuses(self.on, self.peer, self.t, until)
        if self.is_ in found:
            return None
        seen = ", ".join(str(status) for status in found)
        return f"{self.peer} on {self.on} never is {self.is_} from {self.t:g} s to {until:g} s, only {seen}"


@expectation("never")
@attrs.frozen(kw_only=True)
class Never:
    """A row never has a status, at no moment of the run."""

    on: str = attrs.field(metadata=_on())
    peer: str = attrs.field(metadata=_peer())
    is_: str = attrs.field(metadata=key(STATUS, "the status", "is"))

    def failure(self, history: History) -> str | None:
        for change in history.changes:
            if (change.on, change.peer, change.status) == (self.on, self.peer, self.is_):
                return f"{self.peer} on {self.on} becomes {self.is_} at {change.at:.3f} s"
        return None


@expectation("always")
@attrs.frozen(kw_only=True)
class Always:
    """A row has one of some statuses at every moment of a span of time."""

    on: str = attrs.field(metadata=_on())
    peer: str = attrs.field(metadata=_peer())
    is_: tuple[str, ...] = attrs.field(metadata=key(STATUS_SET, "the statuses", "is"))
    t: float = attrs.field(default=0.0, metadata=key(DURATION, "from when on"))
    within_s: float | None = attrs.field(
        default=None, metadata=key(DURATION, "for how long; to the end of the world if not given", "within")
    )

    def failure(self, history: History) -> str | None:
        until = history.end if self.within_s is None else self.t + self.within_s
        for found in history.statuses(self.on, self.peer, self.t, until):
            if found not in self.is_:
                return f"{self.peer} on {self.on} is {found} between {self.t:g} s and {until:g} s, and not {' or '.join(self.is_)}"
        return None


@expectation("leads_to")
@attrs.frozen(kw_only=True)
class LeadsTo:
    """Whenever a row takes a status, it has another one within some time, as often as that happens before the end is too near to tell."""

    on: str = attrs.field(metadata=_on())
    peer: str = attrs.field(metadata=_peer())
    is_: str = attrs.field(metadata=key(STATUS, "the first status", "is"))
    then: str = attrs.field(metadata=key(STATUS, "the status that must follow"))
    within_s: float = attrs.field(metadata=key(DURATION, "how long it may take", "within"))

    def failure(self, history: History) -> str | None:
        own = [change for change in history.changes if (change.on, change.peer) == (self.on, self.peer)]
        for number, change in enumerate(own):
            until = change.at + self.within_s
            if change.status != self.is_ or until > history.end:
                continue
            if not any(later.status == self.then and later.at <= until for later in own[number + 1 :]):
                return f"{self.peer} on {self.on} becomes {self.is_} at {change.at:.3f} s and not {self.then} within {self.within_s:g} s"
        return None


@expectation("sometimes")
@attrs.frozen(kw_only=True)
class Sometimes:
    """A row takes a status in at least one run of a sweep; a single run may pass without it."""

    on: str = attrs.field(metadata=_on())
    peer: str = attrs.field(metadata=_peer())
    is_: str = attrs.field(metadata=key(STATUS, "the status", "is"))

    def failure(self, history: History) -> str | None:
        return None

    def hope(self) -> str:
        return f"{self.peer} on {self.on} sometimes becomes {self.is_}"

    def reached(self, history: History) -> bool:
        return any((change.on, change.peer, change.status) == (self.on, self.peer, self.is_) for change in history.changes)


@expectation("sometimes_code")
@attrs.frozen(kw_only=True)
class SometimesCode:
    """An operator's call is answered so in at least one run of a sweep; a single run may pass without it."""

    call: str = attrs.field(metadata=key(CALL, "the `name` of the step"))
    is_: str = attrs.field(metadata=key(TEXT, "the code", "is"))

    def failure(self, history: History) -> str | None:
        return None

    def hope(self) -> str:
        return f"{self.call!r} is sometimes answered {self.is_}"

    def reached(self, history: History) -> bool:
        return history.answers.get(self.call, "no_answer") == self.is_


@expectation("code")
@attrs.frozen(kw_only=True)
class CodeIs:
    """The answer to an operator's call: `ok`, an error code of the operator surface, or `no_answer` if none ever came."""

    call: str = attrs.field(metadata=key(CALL, "the `name` of the step"))
    is_: str = attrs.field(metadata=key(TEXT, "the code", "is"))

    def failure(self, history: History) -> str | None:
        found = history.answers.get(self.call, "no_answer")
        return None if found == self.is_ else f"{self.call!r} was answered {found} and not {self.is_}"
