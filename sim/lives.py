"""Which steps of which lifecycle a run has taken, for every kind of row that has one.

Lives here: the list of lifecycles with all of their steps, how the state of a row is read, and the follower of commits that notes steps.
Must not live here: a judgement. Where the domain has a table of transitions, the steps are read from it; where states follow from a record
(a mirror, a root, a copy that was put back) they are named here.

A step is written `grant active > expired`. Steps of a peer also tell what caused them. Where a state can follow any other it is `capability
any > failing`. A step that leads back to where it began leaves no trace in a row, and is not listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from actors.approval import lifecycle as approval
from actors.audit_archive import lifecycle as audit_archive
from actors.bridge import lifecycle as bridge
from actors.capability.lifecycle import STATES as CAPABILITY_STATES
from actors.capability.record import state as capability_state
from actors.continuity.record import frozen_by
from actors.grant import lifecycle as grant
from actors.hub import lifecycle as hub
from actors.migration import lifecycle as migration
from actors.migration_chain import lifecycle as chain
from actors.mirror.shelf import CAPABILITY
from actors.offering import lifecycle as offering
from actors.peer.lifecycle import TRANSITIONS as PEER_TRANSITIONS
from actors.received_grant.record import state as received_state
from actors.rotation.record import OPEN, progress_of
from actors.subscription import lifecycle as subscription
from runtime.store.port import Query
from sim.checkers.registry import Change, Commit

if TYPE_CHECKING:
    from sim.world import Host

ANY: Final = "any"
NONE: Final = "none"

Read = Callable[[Any, float, "Host"], str]


@attrs.frozen
class Life:
    """One lifecycle.

    Attributes:
        kind: of the rows that have it.
        read: the state of a record at a wall time, on a platform.
        steps: every step there is, without the name of the life.
        from_any: steps are told by where they lead alone.
        timed: some steps are taken by the clock alone, without a write.
    """

    name: str
    kind: str
    read: Read
    steps: tuple[str, ...]
    from_any: bool = False
    timed: bool = False

    def step(self, before: str, after: str) -> str:
        """What the step from one state to the other is called."""
        return f"{self.name} {ANY if self.from_any else before} > {after}"

    @property
    def names(self) -> tuple[str, ...]:
        """Every step, as `step` calls it."""
        return tuple(f"{self.name} {step}" for step in self.steps)


def _field(name: str) -> Read:
    return lambda record, wall, host: str(getattr(record, name))


def _rows(table: Mapping[tuple[Any, Any], Any], *first: str) -> tuple[str, ...]:
    """The steps of a table of (state, trigger) to state; a row can also begin in each of `first`."""
    told = [f"{NONE} > {state}" for state in first]
    told += [f"{source or NONE} > {target}" for (source, _), target in table.items() if source != target]
    return tuple(dict.fromkeys(told))


def _consent(side: str) -> Read:
    def read(record: Any, wall: float, host: Host) -> str:
        state = str(getattr(record, side))
        return NONE if state == "never" else state

    return read


def _into(states: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{ANY} > {state}" for state in states)


def _mirror(record: Any, wall: float, host: Host) -> str:
    return "shown" if record.gone_at is None else "gone"


def _resource(record: Any, wall: float, host: Host) -> str:
    if record.deleted_at is not None:
        return "deleted" if record.moved is None else "moved"
    return "arriving" if record.incoming else "held" if record.frozen_by is not None else "here"


def _rotation(record: Any, wall: float, host: Host) -> str:
    if record.next is not None:
        return "overlapping"
    return NONE if record.current is None else "forced" if record.forced else "over"


def _continuity(record: Any, wall: float, host: Host) -> str:
    if record.closing is not None:
        return "closing"
    return "frozen" if frozen_by(record, host.settings().identity) is not None else "decided"


_CONSENTS: Final = tuple(step.replace("never", NONE) for step in _rows(hub.TRANSITIONS))
LIVES: Final = (
    Life("approval", "approval", _field("status"), _rows(approval.TRANSITIONS, "pending")),
    Life("approved operation", "approval", _field("execution_status"), _rows(approval.EXECUTION)),
    Life("shipment", "audit_shipment", _field("state"), _rows(audit_archive.TRANSITIONS, "pending")),
    Life("bridge", "bridge", _field("state"), _rows(bridge.TRANSITIONS, "proposed")),
    # A pass under way is not stored.
    Life(
        "capability", CAPABILITY, lambda record, wall, host: capability_state(record),
        _into(state for state in CAPABILITY_STATES if state != "syncing"), from_any=True,
    ),
    Life(
        "copy", "continuity", _continuity,
        ("none > frozen", "none > closing", "frozen > closing", "frozen > decided", "closing > decided"),
    ),
    Life(
        "grant", "grant", lambda record, wall, host: grant.state(record, wall),
        tuple(f"{source or NONE} > {target}" for source, target, _ in grant.TRANSITIONS), timed=True,
    ),
    Life(
        "received grant", "received_grant", lambda record, wall, host: received_state(record, wall),
        (
            "none > announced", "announced > active", "announced > expired", "announced > none", "none > active", "active > refused",
            "active > expired", "expired > active", "expired > refused", "active > none", "refused > none", "expired > none",
        ),
        timed=True,
    ),
    Life(
        "question of homes", "homecoming", lambda record, wall, host: "open" if record.answered_at is None else "answered",
        ("none > open", "open > answered", "answered > open"),
    ),
    *(Life(side, "hub_consent", _consent(side), _CONSENTS) for side in hub.SIDES),
    Life("migration", "migration", _field("status"), _rows(migration.TRANSITIONS, "planned", "validating", "in_doubt")),
    Life("arrival", "arrival", _field("verdict"), _rows(migration.VERDICTS)),
    Life("chain", "migration_chain", _field("status"), _rows(chain.TRANSITIONS, "planned")),
    Life("hop", "chain_hop", _field("status"), _rows(chain.HOP_TRANSITIONS)),
    Life("mirror", "mirror", _mirror, ("none > shown", "none > gone", "shown > gone", "gone > shown", "shown > none", "gone > none")),
    Life("offering", "service_offering", _field("status"), _rows(offering.TRANSITIONS, "draft")),
    Life(
        "lease", "subscription_lease", _field("state"),
        ("none > live", *(f"live > {state}" for state in offering.LEASE_STATES if state != "live")),
    ),
    Life(
        "resource", "resource", _resource,
        (
            "none > here", "here > deleted", "here > held", "held > here", "held > moved", "none > arriving", "moved > arriving",
            "arriving > here", "arriving > deleted",
        ),
    ),
    Life(
        "rotation", "rotation", _rotation,
        (
            "none > overlapping", "none > forced", "overlapping > over", "overlapping > forced", "over > overlapping", "over > forced",
            "forced > overlapping",
        ),
    ),
    Life("subscription", "service_subscription", _field("state"), _rows(subscription.TRANSITIONS, "pending")),
)  # fmt: skip
"""Every lifecycle but that of peers, whose steps come with what caused them."""

PEER_STEPS: Final = tuple(dict.fromkeys(f"peer {row.source or NONE} > {row.target} by {row.trigger}" for row in PEER_TRANSITIONS))
ROOT_STEPS: Final = tuple(f"root at a peer {ANY} > {progress}" for progress in ("promoted", *sorted(OPEN), "given_up", "set_aside"))
"""How far a peer has come with a root of ours follows from two rows, its own and that of the rotation."""

STEPS: Final = (*PEER_STEPS, *(name for life in LIVES for name in life.names), *ROOT_STEPS)

UNREACHABLE: Final[Mapping[str, str]] = {
    "approved operation none > failed": "whoever asked would have to lose a permission, and a simulated platform has one operator",
    "hop withdrawn > moving": "only its own chain withdraws the hop of a platform that drives it, and that chain has ended for good then",
}
"""Steps that no run can take, and why. They are not reported as never taken."""

_BY_KIND: Final[dict[str, tuple[Life, ...]]] = {
    kind: tuple(life for life in LIVES if life.kind == kind) for kind in dict.fromkeys(life.kind for life in LIVES)
}


class Steps:
    """A follower of the commits of a world, which keeps the steps that were taken.

    Attributes:
        taken: in the order in which they were first taken.
    """

    def __init__(self) -> None:
        self.taken: dict[str, None] = {}
        self._seen: dict[tuple[str, str, str], str] = {}
        self._roots: dict[tuple[str, str], str] = {}
        self._rotating: dict[str, Any] = {}
        self._peers: dict[str, dict[str, Any]] = {}

    def __call__(self, commit: Commit) -> None:
        for entry in commit.entries:
            if "to" in entry.payload and "trigger" in entry.payload:
                told = entry.payload
                self.taken[f"peer {told.get('from') or NONE} > {told['to']} by {told['trigger']}"] = None
        for change in commit.changes:
            before = None if change.before is None else change.before.record
            after = None if change.after is None else change.after.record
            if before is after:
                continue
            for life in _BY_KIND.get(change.kind, ()):
                self._followed(life, change, before, after, commit)
            if change.kind in ("peer", "rotation"):
                self._follow_root(commit.host, change.kind, change.id, after)

    def _followed(self, life: Life, change: Change, before: Any, after: Any, commit: Commit) -> None:
        """What time alone has done to a row since it was last written, and what this commit does to it."""
        first = NONE if before is None else life.read(before, commit.wall, commit.host)
        then = NONE if after is None else life.read(after, commit.wall, commit.host)
        if life.timed:
            key = (commit.host.name, life.name, change.id)
            self._passed(life, self._seen.get(key, first), first)
            self._seen[key] = then
        self._passed(life, first, then)

    def _passed(self, life: Life, before: str, after: str) -> None:
        if before != after:
            self.taken[life.step(before, after)] = None

    def _follow_root(self, host: Host, kind: str, id: str, after: Any) -> None:
        peers = self._peers.setdefault(host.name, {})
        if kind == "peer":
            peers[id] = after
        else:
            self._rotating[host.name] = after
        rotation = self._rotating.get(host.name)
        if rotation is None:
            return
        identity = host.settings().identity
        for each in peers if kind == "rotation" else (id,):
            progress = NONE if peers[each] is None else progress_of(peers[each], rotation, identity)
            if self._roots.get((host.name, each)) != progress:
                self._roots[(host.name, each)] = progress
                self.taken[f"root at a peer {ANY} > {progress}"] = None

    def end(self, hosts: Iterable[Host]) -> None:
        """The run is over: what time has done to rows that nothing has written since."""
        for host in hosts:
            for life in (life for life in LIVES if life.timed):
                for row in host.store.query(Query(life.kind, newest_first=False)):
                    now = life.read(row.record, host.clock.wall(), host)
                    self._passed(life, self._seen.get((host.name, life.name, row.record.id), now), now)
