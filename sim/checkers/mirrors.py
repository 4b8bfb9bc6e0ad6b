"""Mirrors: what they say was once true at their home, is true in the end, and no cursor passes what the other side does not have.

Lives here: the rules, restated over the committed rows of all platforms together. Must not live here: how a pass is made.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from runtime.store.port import Query
from sim.checkers.registry import Change, Checker, Commit, checker

LATE_S: Final = 120.0
"""What a pass may be late, beyond its interval, at the end of a run."""

WITHDRAWN_S: Final = 600.0
"""How long after a flow was ended, with the way open, its mirrors may be shown."""

MILLISECOND: Final = 0.001


def canonical(attributes: Any) -> str:
    """One text for what a record says; what is unset is not said."""
    return json.dumps({name: value for name, value in attributes.items() if value is not None}, sort_keys=True, default=list)


def home_of(checker: Checker, host: Any, peer_id: str) -> Any:
    """The platform that a peer's row stands for, or None."""
    peer = checker.facts.peers[host.name].get(peer_id)
    return next(checker.facts.instance(peer.remote_instance_id), None) if peer is not None else None


def living_mirrors(host: Any, peer_id: str) -> Iterator[Any]:
    """The mirrors of a peer's records that a platform would show."""
    for row in host.store.query(Query("mirror")):
        record = row.record
        if record.origin_peer_id == peer_id and record.gone_at is None:
            yield record


def asks_for(host: Any, peer_id: str, kind: str) -> bool:
    """Whether a platform reads a peer's records of a kind by itself, or is brought them."""
    found = (row.record for row in host.store.query(Query("federation_capability")))
    return any((each.federation_peer_id, each.resource_kind) == (peer_id, kind) and "pull" in each.legs for each in found)


def long_active(host: Any, peer: Any) -> bool:
    """Whether the way to a peer has been open for so long that it must have heard of a withdrawal."""
    return bool(peer is not None and peer.status == "active" and host.clock.wall() - peer.status_since > WITHDRAWN_S)


def is_home(host: Any, id: str) -> bool:
    """Whether a platform is, or was, the home of a record."""
    row = host.store.load("resource", id)
    return row is not None and row.record.moved is None


@checker("mirror_truth", source="docs/resources.md#mirrors", holds=("M1",))
class MirrorTruth(Checker):
    """A mirror says what its record has once been at its home, never goes back in its home's time, and is no home.

    Nobody keeps what others say of a record of his own.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._states: dict[tuple[str, str], set[str]] = {}

    def on_start(self, host: Any) -> None:
        for row in host.store.query(Query("resource")):
            self._note(host, row.record)

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.after is None:
                continue
            if change.kind == "resource":
                self._note(commit.host, change.after.record)
            elif change.kind == "mirror" and change.after.record.gone_at is None:
                self._judge(commit.host, change.before.record if change.before is not None else None, change.after.record)

    def on_rest(self, host: Any) -> None:
        for row in host.store.query(Query("mirror")):
            if row.record.gone_at is None and is_home(host, row.record.origin_id):
                self.complain(host, f"{row.record.origin_id} is a record here and a mirror as well")

    def _note(self, host: Any, record: Any) -> None:
        if record.lives:
            self._states.setdefault((host.instance_id, record.id), set()).add(canonical(record.attributes))

    def _judge(self, host: Any, before: Any, after: Any) -> None:
        home = home_of(self, host, after.origin_peer_id)
        if is_home(host, after.origin_id):
            self.complain(host, f"{after.origin_id} is a record here, and what {home.name if home else 'somebody'} says of it is kept")
        elif home is None or canonical(after.attributes) not in self._states.get((home.instance_id, after.origin_id), ()):
            self.complain(host, f"the mirror of {after.origin_id} says what its record has never been")
        if before is not None and after.moment < before.moment:
            self.complain(host, f"the mirror of {after.origin_id} goes back in the time of its home")


@checker("sync_cursor", source="docs/resources.md#capabilities", holds=("M2",))
class SyncCursor(Checker):
    """A cursor never passes a record that the other side does not have."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._replaced: set[str] = set()

    def on_replaced(self, host: Any) -> None:
        # Cursors and records of different times cannot be compared until a full pass has been made; `mirrors_follow` sees to that.
        self._replaced.add(host.name)

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind == "federation_capability" and change.after is not None:
                before = change.before.record if change.before is not None else None
                self._judge(commit.host, before, change.after.record)

    def _judge(self, host: Any, before: Any, after: Any) -> None:
        other = home_of(self, host, after.federation_peer_id)
        if other is None or after.filter or {host.name, other.name} & self._replaced:
            return
        for leg, home, holder in (("pull", other, host), ("push", host, other)):
            cursor = getattr(after, leg).cursor
            if cursor is not None and (before is None or getattr(before, leg).cursor != cursor):
                self._passed(host, leg, cursor, home, holder, after.resource_kind)

    def _passed(self, host: Any, leg: str, cursor: Any, home: Any, holder: Any, kind: str) -> None:
        row = next((row for row in holder.store.query(Query("peer")) if row.record.remote_instance_id == home.instance_id), None)
        if row is None or row.record.status == "revoked":
            return
        had = {record.origin_id for record in living_mirrors(holder, row.record.id)}
        for found in home.store.query(Query("resource")):
            record = found.record
            behind = record.updated_at < cursor.updated_at - MILLISECOND
            if behind and record.kind == kind and record.lives and record.id not in had and not is_home(holder, record.id):
                self.complain(host, f"the {leg} cursor has passed {record.id}, which {holder.name} does not have")


@checker("mirrors_follow", source="docs/resources.md#mirrors", holds=("M3",))
class MirrorsFollow(Checker):
    """In the end, every capability that moves records by itself has made a pass in time, and the mirrors are what the home is.

    Whatever has failed or is in its way, it has a time at which it looks again.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._changed: dict[tuple[str, str], float] = {}
        self._passes: dict[tuple[str, str, str], tuple[float, float]] = {}

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            record = change.after.record if change.after is not None else None
            former = change.before.record if change.before is not None else None
            known = record if record is not None else former
            if change.kind == "resource" and known is not None:
                self._changed[commit.host.name, known.kind] = self.facts.now
            elif change.kind == "federation_capability" and record is not None:
                for leg in ("pull", "push"):
                    self._note(commit.host, leg, former, record)

    def on_replaced(self, host: Any) -> None:
        for row in host.store.query(Query("resource")):
            self._changed[host.name, row.record.kind] = self.facts.now

    def on_rest(self, host: Any) -> None:
        for row in host.store.query(Query("federation_capability")):
            record = row.record
            peer = self.facts.peers[host.name].get(record.federation_peer_id)
            if record.by_itself and record.open and record.next_at is None:
                self.complain(host, f"{record.id} moves records by itself, and will not look again after {record.last_error}")
                continue
            quiet = record.policy == "manual" or record.blocked is not None or record.filter or record.ended_at is not None or record.going
            other = home_of(self, host, record.federation_peer_id)
            if not quiet and peer is not None and peer.status == "active" and other is not None:
                for leg in record.legs:
                    self._judge(host, record, leg, other)

    def _note(self, host: Any, leg: str, before: Any, after: Any) -> None:
        ended = getattr(after, leg).completed_at
        if ended is not None and (before is None or getattr(before, leg).completed_at != ended):
            key = (host.name, after.id, leg)
            self._passes[key] = (self._passes.get(key, (-math.inf, -math.inf))[1], self.facts.now)

    def _judge(self, host: Any, record: Any, leg: str, other: Any) -> None:
        earlier, last = self._passes.get((host.name, record.id, leg), (-math.inf, -math.inf))
        if last == -math.inf and record.last_synced_at is not None:
            return  # Of two ways this one has no grant.
        late_s = self.facts.now - last
        if not record.consecutive_failures and late_s > record.interval_seconds + LATE_S:
            self.complain(
                host, f"the {leg} of {record.id} has been over for {late_s:.0f} s, and its interval is {record.interval_seconds} s"
            )
        home, holder = (other, host) if leg == "pull" else (host, other)
        # Only a pass that began after the last change must have seen it; it began after the one before had ended.
        if earlier <= self._changed.get((home.name, record.resource_kind), -math.inf):
            return
        row = next((row for row in holder.store.query(Query("peer")) if row.record.remote_instance_id == home.instance_id), None)
        if row is None or row.record.status == "revoked":
            return
        true = {
            found.record.id: canonical(found.record.attributes)
            for found in home.store.query(Query("resource"))
            if found.record.lives and found.record.kind == record.resource_kind and not is_home(holder, found.record.id)
        }
        shown = {
            each.origin_id: canonical(each.attributes)
            for each in living_mirrors(holder, row.record.id)
            if each.kind == record.resource_kind
        }
        if shown != true:
            wrong = sorted(id for id in true.keys() | shown.keys() if true.get(id) != shown.get(id))
            self.complain(host, f"{len(wrong)} mirrors are not what {home.name} is, such as {wrong[0]}")


@checker("withdrawals", source="docs/resources.md#capabilities", holds=("M3",))
class Withdrawals(Checker):
    """In the end, whoever held mirrors that were brought to it holds none of a flow that was ended in time for the word of it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._ended: dict[tuple[str, str, str], float] = {}

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind == "federation_capability":
                row = change.after if change.after is not None else change.before
                assert row is not None
                record = row.record
                key = (commit.host.name, record.federation_peer_id, record.resource_kind)
                if "push" in record.legs and (change.after is None or record.going):
                    self._ended.setdefault(key, self.facts.now)
                else:
                    self._ended.pop(key, None)

    def on_peer(self, change: Change, commit: Commit) -> None:
        # Who is paused hears nothing, and the end of a peering takes the mirrors of both sides by itself.
        if change.after is not None and change.after.record.status in ("suspended", "revoked"):
            for hosts in (commit.host, home_of(self, commit.host, change.id)):
                self._forget(hosts)

    def on_replaced(self, host: Any) -> None:
        self._forget(host)

    def on_rest(self, host: Any) -> None:
        for (name, peer_id, kind), at in self._ended.items():
            peer = self.facts.peers[host.name].get(peer_id)
            holder = home_of(self, host, peer_id)
            if name != host.name or holder is None or at + WITHDRAWN_S > self.facts.now or not long_active(host, peer):
                continue
            row = next((row for row in holder.store.query(Query("peer")) if row.record.remote_instance_id == host.instance_id), None)
            if row is None or not long_active(holder, row.record) or asks_for(holder, row.record.id, kind):
                continue
            left = [each for each in living_mirrors(holder, row.record.id) if each.kind == kind]
            if left:
                self.complain(
                    host, f"{len(left)} mirrors of {kind} at {holder.name} are left of a flow that ended {self.facts.now - at:.0f} s ago"
                )

    def _forget(self, host: Any) -> None:
        if host is not None:
            self._ended = {key: at for key, at in self._ended.items() if key[0] != host.name}
