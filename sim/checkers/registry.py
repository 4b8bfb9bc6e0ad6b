"""The registry of safety checkers, and what they have in common.

Lives here: the decorator, the base class with everything that can touch a checker, and the table of invariants that they hold. Must not
live here: a rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar

import msgspec

from actors.door.call import Answer
from actors.ports import RemoteRequest
from runtime.store.port import Event, Row
from runtime.values import Value

if TYPE_CHECKING:
    from sim.checkers.facts import Facts
    from sim.world import Host

INVARIANTS: Final[Mapping[str, str]] = {
    "P1": "Every change of status is in the table of transitions and has exactly one audit entry; sequences have no gap.",
    "P2": "A token accepts at most once; an accept that fails leaves the token usable and the row as it was.",
    "P3": "No token, bearer or private key stands in plaintext in a row, an event, an audit entry, a log line or a later answer.",
    "P4": "Nothing but accept leaves without a client identity, and accept leaves only towards a server that has proven itself.",
    "P5": "Once a revocation or a suspension has committed, no new request of that peer is served.",
    "P6": "A certificate that is valid under the anchor of one peer never authenticates as another.",
    "P7": "Contact shows: in time after an accept, after a cut and after its end, and in what operators read.",
    "P8": "Crossed and repeated accepts end in one row on each side, with subjects and anchors that fit together.",
    "P9": "What is old ends in exactly one verified shipment.",
    "P10": "No anchor comes into force without an accept, a valid cross-signature, or an operator who approved its fingerprint.",
    "P11": "What a peer tells takes effect once, however often it arrives, and what was acknowledged has taken effect.",
    "P12": "Of an audit chain nothing is given up but what is old and stands verified in the archive, and the whole still verifies.",
    "G1": "No axis of a stored grant is empty.",
    "R1": "At every instant at most one platform holds a resource of one id that can be written.",
    "R2": "A migration ends on both sides with the same word, or is in doubt with its records held.",
    "R3": "When faults have stopped, no migration stays in doubt or unfinished.",
    "R4": "Where a chain of migrations says that its resource lives, it lives.",
    "I1": "A token is consumed at most once, whatever is lost, repeated or reordered.",
    "I2": "Nothing becomes active without two-way evidence younger than the limit.",
    "I3": "No request succeeds without a live grant that covers every axis at that instant.",
    "I4": "Revocation is final.",
    "I9": "The audit chain verifies.",
    "I10": "Whoever follows events sees each once, without a gap.",
    "I11": "No queue is longer than its named limit.",
    "I12": "When faults have stopped, all healthy pairs are active within a stated bound.",
    "I13": "Clocks that differ by up to the tolerance change no decision except through that tolerance.",
    "I14": "A platform one release behind never meets a field that it cannot ignore.",
    "I15": "The same seed gives the same digest.",
    "M1": "A mirror says what its record once was at its home, never goes back, and is no home.",
    "M2": "A cursor never passes a record that the other side does not have.",
    "M3": "When faults have stopped, mirrors become what their home is.",
    "S1": "An offering never has more living leases than seats.",
    "S2": "The routes of the proxy are a function of the active subscriptions.",
    "H1": "Nothing passes a hub without the consent of operators on both sides.",
}
"""What is promised: P for the protocol between two platforms, G for grants, R for resources that move, M for mirrors, S for services, H for
hubs, I for platforms as a whole.
"""

ELSEWHERE: Final[Mapping[str, str]] = {
    "I12": "the end phase of a run: `convergence`",
    "I15": "not visible within one run: tests and the audit command run a seed twice and compare",
}
"""Invariants that no safety checker holds, and why."""


class Change(Value, frozen=True):
    """One row before and after a commit; None where there is none."""

    kind: str
    id: str
    before: Row | None
    after: Row | None


class Commit(Value, frozen=True):
    """One unit that has become durable.

    Attributes:
        host: the platform; `wall` is its clock, seconds since the epoch.
        changes: every row that it touched, once.
        entries, events: as they were numbered.
        writes: the writes themselves, for whoever searches them.
    """

    host: Host
    wall: float
    changes: tuple[Change, ...]
    entries: tuple[Any, ...]
    events: tuple[Event, ...]
    writes: tuple[Any, ...]


class Visit(msgspec.Struct, eq=False):
    """One call at a door, from its arrival to its answer.

    Attributes:
        source: name of the host that sent it; empty for the platform's own operator.
        route: the last part of the path of the federation API, such as `accept`; empty for calls of operators.
        notes: what a checker has found out when the call arrived, under the checker's name.
    """

    host: Host
    call: Any
    source: str
    route: str
    at: float
    wall: float
    incarnation: int
    notes: dict[str, Any] = msgspec.field(default_factory=dict)
    _body: Any = None

    @property
    def body(self) -> dict[str, Any]:
        """The body as a JSON object; empty if it is none."""
        if self._body is None:
            try:
                read = json.loads(self.call.body)
            except ValueError:
                read = None
            self._body = read if isinstance(read, dict) else {}
        found: dict[str, Any] = self._body
        return found


class Complain(Protocol):
    """Takes a complaint."""

    def __call__(self, checker: str, host: str, text: str) -> None: ...


class Checker:
    """One rule with what it remembers of one world. What touches it are the `on_…` methods that it overrides.

    Attributes:
        name: what a failure is called.
        meaning: the rule, in one sentence (the docstring of the class).
        source: where the rule is written down for users.
        holds: labels of `INVARIANTS`.
        methods: what touches it.
        later: lets a function look again in so many seconds of virtual time, if the world lasts that long.
    """

    name: ClassVar[str]
    meaning: ClassVar[str]
    source: ClassVar[str]
    holds: ClassVar[tuple[str, ...]]
    methods: ClassVar[tuple[str, ...]]

    def __init__(self, facts: Facts, complain: Complain, later: Callable[[float, Callable[[], None]], None]) -> None:
        self.facts = facts
        self._complain = complain
        self.later = later

    def complain(self, host: Host, text: str) -> None:
        """Tell that the rule is broken on a platform."""
        self._complain(self.name, host.name, text)

    def on_peer(self, change: Change, commit: Commit) -> None:
        """The record of a peer was committed."""

    def on_evidence(self, change: Change, commit: Commit) -> None:
        """The evidence about a peer was committed."""

    def on_change(self, commit: Commit) -> None:
        """Something was committed beside evidence: a record, an entry of an audit chain, an event."""

    def on_commit(self, commit: Commit) -> None:
        """Anything was committed."""

    def on_request(self, host: Host, request: RemoteRequest) -> None:
        """A request to another platform is about to leave."""

    def on_return(self, host: Host, request: RemoteRequest, outcome: Any) -> None:
        """The outcome of a request reaches who sent it."""

    def on_call(self, visit: Visit) -> None:
        """A call of another platform has arrived."""

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        """The answer to another platform's call leaves."""

    def on_operator_call(self, visit: Visit) -> None:
        """A call of an operator has arrived."""

    def on_operator_answer(self, visit: Visit, answer: Answer) -> None:
        """The answer to an operator's call leaves."""

    def on_relayed(self, hub: Host, peer_id: str, address: str) -> None:
        """A hub has taken a connection from an address, to relay it to a peer."""

    def on_start(self, host: Host) -> None:
        """A process starts."""

    def on_replaced(self, host: Host) -> None:
        """The disk of a platform was replaced by an earlier copy, or by an empty one: what was committed since is gone for good."""

    def on_log(self, line: str) -> None:
        """A platform has written a line to its log; which one is not told."""

    def on_record(self, host: Host, text: str) -> None:
        """The end, in some runs: what the flight recorder of a platform would write to its file."""

    def on_step(self, host: Host) -> None:
        """A step of the scenario has been taken, or the scenario has ended: time for what reads more than one row."""

    def on_rest(self, host: Host) -> None:
        """The end: every fault has stopped, and nothing is under way on this platform any more."""


TOUCHES: Final[Mapping[str, str]] = {
    "on_peer": "commit of a peer",
    "on_evidence": "commit of evidence",
    "on_change": "commit beside evidence",
    "on_commit": "any commit",
    "on_request": "request leaving",
    "on_return": "outcome of a request",
    "on_call": "peer's call",
    "on_answer": "answer to a peer",
    "on_operator_call": "operator's call",
    "on_operator_answer": "answer to an operator",
    "on_relayed": "connection at a hub",
    "on_start": "start",
    "on_replaced": "replaced disk",
    "on_log": "log line",
    "on_record": "flight recording",
    "on_step": "step",
    "on_rest": "rest at the end",
}
"""Method to what touches a checker that has it."""

CHECKERS: Final[dict[str, type[Checker]]] = {}
"""Name to class, in alphabetical order of their files."""

_Class = TypeVar("_Class", bound=type[Checker])


def checker(name: str, *, source: str, holds: tuple[str, ...] = ()) -> Callable[[_Class], _Class]:
    """Register a checker: its name, where its rule is written down, and which invariants it holds. Its docstring is its meaning."""

    def register(cls: _Class) -> _Class:
        assert name not in CHECKERS, name
        assert set(holds) <= INVARIANTS.keys(), holds
        cls.name, cls.source, cls.holds = name, source, holds
        cls.meaning = " ".join((cls.__doc__ or "").split())
        cls.methods = tuple(method for method in TOUCHES if getattr(cls, method) is not getattr(Checker, method))
        CHECKERS[name] = cls
        return cls

    return register


def touched_by(cls: type[Checker]) -> tuple[str, ...]:
    """What touches a checker, in words."""
    return tuple(TOUCHES[method] for method in cls.methods)
