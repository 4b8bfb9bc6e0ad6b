"""`poison`: messages that their handler cannot bear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from actors.registry import ACTORS
from runtime.crash_policy import QUARANTINE_S
from sim.mishaps import handled_messages, poison
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, WHOLE, Kind, key, one_of, unknown

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


def _message(value: object) -> str:
    known = sorted({name for kind in ACTORS for name in handled_messages(kind)})
    if value not in known:
        raise ValueError(unknown(value, known, "message of any actor"))
    return str(value)


MESSAGE: Final = Kind("type of message", _message, schema={"type": "string"})


@action("poison")
@attrs.frozen(kw_only=True)
class Poison:
    """The next messages of a type crash their handler. An actor that crashes is restarted and tries again; after a second crash the message
    is given up."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    kind: str = attrs.field(default="peer", metadata=key(one_of(*sorted(ACTORS)), "the kind of actor"))
    message: str = attrs.field(metadata=key(MESSAGE, "the type of message", drawn=lambda made: handled_messages(made.get("kind", "peer"))))
    times: int = attrs.field(default=2, metadata=key(WHOLE, "how many handlings crash"))

    def perform(self, stage: Stage, name: str | None) -> None:
        handled = handled_messages(self.kind)
        if self.message not in handled:
            raise StageError(unknown(self.message, handled, f"message of {self.kind}"))
        host, watch = stage.host(self.on), stage.watch

        def crashes() -> None:
            # Whoever asked is told of it at once; the actor is back after a rest at the latest.
            watch.excuse("no_internal_errors", self.on, host.federation.request_deadline_s)
            watch.hindered(host, QUARANTINE_S)

        poison(host, self.kind, self.message, self.times, crashes)
