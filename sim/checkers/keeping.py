"""What is destroyed for good at its time is destroyed no earlier than that, and soon after it.

Lives here: which rows end by time alone, and when. Must not live here: the life of a token or of a peering (see `tokens`, `ending`), or who
is refused meanwhile (see `grants`, `admission`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from runtime.store.port import Query
from sim.checkers.ability import delay_s, past_s
from sim.checkers.registry import Change, Checker, Commit, checker

SKEW_MAX_S: Final = 600.0
BEARER_KEPT_S: Final = 7 * 86_400.0
GRANT_KEPT_S: Final = 90 * 86_400.0
OVERDUE_S: Final = 300.0
"""How long a platform that can, and knows the time, may take for what only the time has ended."""

DAY_S: Final = 86_400.0
_LIVE: Final = frozenset({"accepted", "enrolled", "active", "degraded"})


@checker("kept_until_its_time", source="docs/decisions/0030-what-ends-for-good-waits-for-certainty.md", holds=("I13",))
class KeptUntilItsTime(Checker):
    """As long as a platform has peers, nothing of it is destroyed because of a time that no clock but its own says has come."""

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            for what, ended_at in _destroyed(change, commit):
                if self._alone_in_it(commit.host, ended_at) and not self._excused(commit.host):
                    ahead_s = ended_at - self._latest(commit.host)
                    self.complain(commit.host, f"{change.kind} {change.id}: {what}, {ahead_s:.0f} s before anybody else's clock says so")

    def _latest(self, host: Any) -> float:
        return max((other.clock.wall() for other in self.facts.world.hosts.values() if other is not host), default=host.clock.wall())

    def _alone_in_it(self, host: Any, ended_at: float) -> bool:
        return ended_at - SKEW_MAX_S > self._latest(host)

    def _excused(self, host: Any) -> bool:
        """Whether nobody could have told it, or nobody has for so long that it goes by its own clock."""
        if not any(record.status in _LIVE for record in self.facts.peers[host.name].values()):
            return True
        row = host.store.load("wall_clock", host.instance_id)
        return row is not None and row.record.settled is not None and row.record.settled.by == "time"


def _destroyed(change: Change, commit: Commit) -> Iterator[tuple[str, float]]:
    """What of a row is destroyed because its time has come, and when that is."""
    if change.before is None:
        return
    before, after = change.before.record, change.after.record if change.after is not None else None
    if change.kind == "peer" and after is not None:
        if before.acceptance_token_digest is not None and after.token_expired_at == before.acceptance_token_expires_at:
            yield "its token has ended", before.acceptance_token_expires_at
        tombstone_until = before.revocation.tombstone_until if before.revocation is not None else None
        if tombstone_until is not None and after.revocation.tombstone_until is None:
            yield "it was forgotten", tombstone_until
    elif change.kind == "grant" and after is not None:
        if before.expired_at is None and after.expired_at is not None:
            yield "it has ended", before.expires_at
        if before.archived_at is None and after.archived_at is not None:
            ended_at = before.expires_at if before.revoked_at is None else min(before.revoked_at, before.expires_at)
            yield "it was archived", ended_at + GRANT_KEPT_S
    elif after is None and change.kind == "received_grant":
        if any(entry.payload.get("reason") == "expired" for entry in commit.entries):
            yield "its bearer is gone", before.expires_at + BEARER_KEPT_S
    elif after is None and change.kind in _ENDS:
        yield "it is gone", _ENDS[change.kind](before)


_ENDS: Final[Mapping[str, Callable[[Any], float]]] = {
    "revoked_certificate": lambda record: record.not_after + SKEW_MAX_S,
    "remembered_answer": lambda record: record.expires_at,
}


@checker("gone_in_time", source="docs/decisions/0030-what-ends-for-good-waits-for-certainty.md")
class GoneInTime(Checker):
    """In the end, nothing is left whose time was over minutes ago, as far as its platform knows the time for certain."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._clocks: dict[str, tuple[float, float]] = {}

    def on_step(self, host: Any) -> None:
        offset_s = host.clock.offset_s
        if self._clocks.get(host.name, (0.0, 0.0))[0] != offset_s:
            self._clocks[host.name] = (offset_s, self.facts.now)

    def on_rest(self, host: Any) -> None:
        able_s = self.facts.now - max(self.facts.awake_since(host), self._clocks.get(host.name, (0.0, 0.0))[1])
        grace_s = OVERDUE_S + 2 * delay_s(host)
        if able_s < grace_s:
            return
        for kind, ends_at in _LEFT_UNTIL.items():
            for row in host.store.query(Query(kind)):
                due = ends_at(host, row.record)
                if due is not None and past_s(host, due) > grace_s:
                    late_s = host.clock.wall() - due
                    self.complain(host, f"{kind} {row.record.id} is as it was, and its time was over {late_s:.0f} s ago")


def _end_of_grant(host: Any, record: Any) -> float | None:
    if record.archived_at is not None:
        return None
    if record.revoked_at is None and record.expired_at is None:
        return float(record.expires_at)
    ended_at = record.expires_at if record.revoked_at is None else min(record.revoked_at, record.expires_at)
    # A sweep at midnight takes what has been over for that long.
    return float(ended_at) + GRANT_KEPT_S + DAY_S


def _end_of_lease(host: Any, record: Any) -> float | None:
    """A seat lasts no longer than what it is a seat of."""
    if record.state != "live":
        return None
    row = host.store.load("service_offering", record.offering_id)
    ends_at = row.record.access_ends_at if row is not None else None
    return float(record.expires_at if ends_at is None else min(record.expires_at, ends_at))


_LEFT_UNTIL: Final[Mapping[str, Callable[[Any, Any], float | None]]] = {
    "revoked_certificate": lambda host, record: record.not_after + SKEW_MAX_S,
    "remembered_answer": lambda host, record: record.expires_at,
    "received_grant": lambda host, record: record.expires_at + BEARER_KEPT_S,
    "grant": _end_of_grant,
    "subscription_lease": _end_of_lease,
    "approval": lambda host, record: record.expires_at if record.status == "pending" else None,
}
