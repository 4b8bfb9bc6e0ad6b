"""`recorded_settings`, `recorded_state`, `recorded_turn`: the steps of a recording. `powernode sim record` writes them; nobody needs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.failures import Failure, StageError
from sim.scenario.kinds import NUMBER, PLATFORM, TEXT, key

if TYPE_CHECKING:
    from sim.recorded import RecordedHost
    from sim.scenario.stage import Stage

_ON = key(PLATFORM, "which platform of the level `recorded`")
_ACTOR = key(TEXT, "which actor, as KIND/ID")
_NOW = key(NUMBER, "what its monotonic clock showed, seconds")
_WALL = key(NUMBER, "what its wall clock showed, seconds since the epoch")


def _host(stage: Stage, on: str) -> RecordedHost:
    from sim.recorded import RecordedHost

    host = stage.host(on)
    if not isinstance(host, RecordedHost):
        raise StageError(f"{on} is no platform of the level `recorded`")
    return host


@action("recorded_settings", fault=False)
@attrs.frozen(kw_only=True)
class RecordedSettings:
    """Who the recorded platform was, and how it was set up."""

    on: str = attrs.field(metadata=_ON)
    settings: str = attrs.field(metadata=key(TEXT, "its settings, as JSON"))

    def perform(self, stage: Stage, name: str | None) -> None:
        host = _host(stage, self.on)
        for checker in host.excused(stage.watch.checkers):
            stage.watch.excuse(checker, host.name)
        host.settle(self.settings)


@action("recorded_state", fault=False)
@attrs.frozen(kw_only=True)
class RecordedState:
    """An actor as it was at a checkpoint of the flight recorder."""

    on: str = attrs.field(metadata=_ON)
    actor: str = attrs.field(metadata=_ACTOR)
    now: float = attrs.field(metadata=_NOW)
    wall: float = attrs.field(metadata=_WALL)
    state: str = attrs.field(metadata=key(TEXT, "what it held in memory, as JSON"))
    record: str | None = attrs.field(default=None, metadata=key(TEXT, "its record, as JSON; none if it had none"))

    def perform(self, stage: Stage, name: str | None) -> None:
        _host(stage, self.on).hold(self.actor, self.now, self.wall, self.record, self.state)


@action("recorded_turn", fault=False)
@attrs.frozen(kw_only=True)
class RecordedTurn:
    """One turn of an actor. It must end as it was recorded."""

    on: str = attrs.field(metadata=_ON)
    actor: str = attrs.field(metadata=_ACTOR)
    now: float = attrs.field(metadata=_NOW)
    wall: float = attrs.field(metadata=_WALL)
    message: str = attrs.field(metadata=key(TEXT, "the message, as JSON"))
    draws: str = attrs.field(default="[]", metadata=key(TEXT, "what it drew, as JSON"))
    outcome: str = attrs.field(metadata=key(TEXT, "how it ended: `done`, `saved`, `crashed:TYPE`"))
    effects: str | None = attrs.field(default=None, metadata=key(TEXT, "its effects in order, a semicolon between them"))

    def perform(self, stage: Stage, name: str | None) -> None:
        from sim.recorded import comparable
        from sim.scenario.stage import BrokenError

        outcome, effects = _host(stage, self.on).play(self.actor, self.now, self.wall, self.message, self.draws)
        recorded = tuple(filter(None, (self.effects or "").split(";")))
        if outcome != self.outcome or comparable(effects) != comparable(recorded):
            text = (
                f"{self.actor} ended {outcome} [{' '.join(comparable(effects))}] and was recorded as"
                f" {self.outcome} [{' '.join(comparable(recorded))}]"
            )
            # A broken rule says more than that something is different.
            stage.check()
            raise BrokenError(Failure("recording", stage.now, text))
