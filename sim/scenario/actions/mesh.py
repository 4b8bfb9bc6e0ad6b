"""`mesh`: everybody peers with everybody."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import DURATION, PLATFORM, PLATFORMS, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

AT_ONCE: Final = 50
"""How many pairs shake hands at the same time."""


@action("mesh", fault=False)
@attrs.frozen(kw_only=True)
class Mesh:
    """The operators of these platforms peer each with each by invitations; later steps wait until all pairs are active."""

    of: tuple[str, ...] = attrs.field(metadata=key(PLATFORMS, "which platforms"))
    with_: str | None = attrs.field(default=None, metadata=key(PLATFORM, "each of them peers with this one only", "with"))
    within_s: float = attrs.field(metadata=key(DURATION, "after which the scenario has failed", "within"))

    def perform(self, stage: Stage, name: str | None) -> None:
        members = stage.members(self.of)
        pairs = list(itertools.combinations(members, 2))
        if self.with_ is not None:
            pairs = [(self.with_, each) for each in members if each != self.with_]
        deadline = stage.now + self.within_s
        for first in range(0, len(pairs), AT_ONCE):
            _connect(stage, pairs[first : first + AT_ONCE], deadline)


def _connect(stage: Stage, pairs: list[tuple[str, str]], deadline: float) -> None:
    for minter, caller in pairs:
        stage.call(None, minter, "POST", "", {"remote_instance_url": stage.host(caller).url}, hands_to=caller)
    _wait(stage, pairs, lambda pair: stage.has_handed(*pair), deadline, "has proposed to")
    for minter, caller in pairs:
        stage.call(None, caller, "POST", "/accept", {"invitation": stage.handed(minter, caller, "latest").invitation})
    _wait(stage, pairs, lambda pair: stage.status(*pair) == stage.status(*pair[::-1]) == "active", deadline, "is active with")


def _wait(stage: Stage, pairs: list[tuple[str, str]], done: Callable[[tuple[str, str]], bool], deadline: float, text: str) -> None:
    left = list(pairs)

    def all_done() -> bool:
        while left and done(left[-1]):
            left.pop()
        return not left

    if not stage.run_until(all_done, deadline - stage.now):
        one, other = left[-1]
        raise StageError(f"{one} never {text} {other} within the time given")
