"""One thing that happened in a world, and the one dense line that shows it.

Lives here: the event as a value, its line, its JSON, the legend. Must not live here: how events come about (see `tracer`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import attrs

LEGEND: Final = """\
# number <cause  seconds   what happened; seconds count from the start of the scenario; the cause is an earlier event, if known
#   PLATFORM actor/id Message: outcome (status) [effects]   a turn of an actor; what it saved, sent, timed or called
#   FROM > TO call METHOD path                              a request arrives
#   FROM > TO answer STATUS path                            an answer leaves; FROM > TO lost …: it never arrives
#   PLATFORM status PEER: former > new                      a peer's status was committed
#   PLATFORM operator CALL: code                            the answer to an operator's call
#   step ACTION keys                                        something that the file lets happen
#   PLATFORM life start | crash                             a process begins or ends"""


@attrs.frozen(kw_only=True, eq=False)
class TraceEvent:
    """One event.

    Attributes:
        seq: its number, counted from 1 in the order in which things happened.
        cause: the number of the event without which this one would not have happened; None if nobody knows or nothing did.
        at: seconds since the start of the scenario; negative while its platforms are opened.
        host: on which platform; empty for what concerns the world.
        kind: `turn`, `status`, `operator`, `step`, `life`, or the kind of a frame between two platforms (`call`, `answer`, …).
        who: the actor as `kind/id`, or the other platform.
        what: the type of the message, the request, the step.
        outcome: of a turn `done`, `saved`, `refused:<code>`, `crashed:<type>`; of a call its code.
        state: the status of the record as the turn leaves it, or the status taken.
        effects: names of a turn's effects, in order.
        message, record: the frozen values themselves; secrets in them show themselves masked.
    """

    seq: int
    cause: int | None
    at: float
    host: str
    kind: str
    who: str
    what: str
    outcome: str = ""
    state: str = ""
    effects: tuple[str, ...] = ()
    message: Any = None
    record: Any = None

    @property
    def text(self) -> str:
        """What happened, without number and time."""
        if self.kind == "turn":
            kind, _, id = self.who.partition("/")
            state = f" ({self.state})" if self.state else ""
            effects = f" [{' '.join(self.effects)}]" if self.effects else ""
            return f"{self.host} {kind}/{id[-8:]} {self.what}: {self.outcome}{state}{effects}"
        if self.kind == "status":
            return f"{self.host} status {self.who}: {self.what}"
        if self.kind == "operator":
            return f"{self.host} operator {self.what}" + (f": {self.outcome}" if self.outcome else "")
        if self.kind in ("step", "life"):
            return f"{self.host} {self.kind} {self.what}".strip()
        return f"{self.host} > {self.who} {self.kind} {self.what}"

    @property
    def line(self) -> str:
        """One dense line."""
        cause = "" if self.cause is None else f"<{self.cause}"
        return f"{self.seq:6} {cause:7} {self.at:13.6f} {self.text}"

    @property
    def fingerprint(self) -> str:
        """A short digest of all of it, the whole message and record included."""
        whole = f"{self.line}|{self.cause}|{self.at!r}|{self.message!r}|{self.record!r}"
        return hashlib.blake2b(whole.encode(), digest_size=8).hexdigest()

    def document(self) -> Mapping[str, Any]:
        """For machines; message and record as their masked texts."""
        return {
            "seq": self.seq, "cause": self.cause, "at_s": self.at, "host": self.host, "kind": self.kind, "who": self.who,
            "what": self.what, "outcome": self.outcome, "state": self.state, "effects": list(self.effects),
            "message": None if self.message is None else repr(self.message),
            "record": None if self.record is None else repr(self.record),
        }  # fmt: skip
