"""Resources that move between platforms: one home at every instant, and one end for both sides.

Lives here: what the committed rows of all platforms say together. Must not live here: how a migration gets to its end.
"""

from __future__ import annotations

from typing import Any, Final

from runtime.store.port import Query
from sim.checkers.registry import Checker, Commit, checker

UNFINISHED: Final = ("applying", "in_doubt", "finalizing")
AT_REST_S: Final = 300.0
"""How long a migration may have been unfinished when everything is at rest."""


@checker("one_home", source="docs/migrations.md#one-home", holds=("R1",))
class OneHome(Checker):
    """Of all platforms at most one holds a record of one id that can be written; what is held or arriving cannot."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._homes: dict[str, set[str]] = {}

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind == "resource":
                self._note(commit.host, change.id, change.after.record if change.after is not None else None)

    def on_replaced(self, host: Any) -> None:
        for homes in self._homes.values():
            homes.discard(host.name)
        for row in host.store.query(Query("resource")):
            if writable(row.record) and not self._homes.get(row.record.id):
                # A disk put back may show a record that has moved since; that platform counts again once it writes it.
                self._homes[row.record.id] = {host.name}

    def _note(self, host: Any, id: str, record: Any) -> None:
        homes = self._homes.setdefault(id, set())
        if record is not None and writable(record):
            homes.add(host.name)
        else:
            homes.discard(host.name)
        if len(homes) > 1:
            self.complain(host, f"{id} can be written on {' and on '.join(sorted(homes))}")


def writable(record: Any) -> bool:
    """Whether the platform that holds this row may change the record."""
    return record.lives and record.frozen_by is None and not record.incoming


@checker("one_verdict", source="docs/migrations.md#the-way-of-a-migration", holds=("R2", "R3"))
class OneVerdict(Checker):
    """What the source calls completed has been applied, what it calls failed or cancelled has not and never is; unfinished ones go on."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._sources: dict[str, tuple[str, str]] = {}
        self._verdicts: dict[str, str] = {}
        self._since: dict[tuple[str, str], float] = {}

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            record = change.after.record if change.after is not None else None
            if change.kind == "migration" and record is not None:
                self._source(commit, record)
            elif change.kind == "arrival" and record is not None:
                self._verdicts[change.id] = record.verdict
                self._judge(commit.host, change.id)

    def on_rest(self, host: Any) -> None:
        for (name, id), since in self._since.items():
            if name == host.name and host.clock.wall() - since > AT_REST_S:
                self.complain(host, f"the migration {id} has had no end for {host.clock.wall() - since:.0f} s")

    def _source(self, commit: Commit, record: Any) -> None:
        self._sources[record.transfer_id] = (commit.host.name, record.status)
        place = (commit.host.name, record.id)
        if record.status in UNFINISHED:
            self._since.setdefault(place, commit.wall)
        else:
            self._since.pop(place, None)
        self._judge(commit.host, record.transfer_id)

    def _judge(self, host: Any, transfer_id: str) -> None:
        if transfer_id in self.facts.false_words:
            return  # Each side follows its operator, and one of them has said what is not so.
        _, status = self._sources.get(transfer_id, ("", ""))
        verdict = self._verdicts.get(transfer_id)
        applied = verdict in ("applied", "finalized")
        if status in ("failed", "cancelled") and applied:
            self.complain(host, f"the migration {transfer_id} is {status} at its source, and {verdict} at its destination")
        if status in ("finalizing", "completed") and not applied:
            self.complain(host, f"the migration {transfer_id} is {status} at its source, and {verdict} at its destination")


@checker("chain_holder", source="docs/migrations.md#chains", holds=("R4",))
class ChainHolder(Checker):
    """Where a chain says that its resource lives, it lives: at the position that it names, or at the next while the hop is under way."""

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            record = change.after.record if change.after is not None else None
            if change.kind == "migration_chain" and record is not None and record.operation == "migrate":
                self._look(commit.host, record)

    def _look(self, host: Any, record: Any) -> None:
        homes = {name for name, other in self.facts.world.hosts.items() if _lives(other, record.root_now)}
        place = record.current_hop_index
        claimed = [self._name(host, record, place)]
        if record.asked or not record.holder_certain:
            claimed.append(self._name(host, record, place + 1) if place < len(record.hop_peer_ids) else None)
        if homes and not homes & {name for name in claimed if name is not None}:
            self.complain(host, f"the chain {record.id} says that {record.root_now} is on {claimed[0]}, and it is on {sorted(homes)}")

    def _name(self, host: Any, record: Any, position: int) -> str | None:
        if position == 0:
            return str(host.name)
        peer = self.facts.peers[host.name].get(record.hop_peer_ids[position - 1])
        return next(
            (name for name, other in self.facts.world.hosts.items() if peer is not None and other.url == peer.remote_instance_url), None
        )


def _lives(host: Any, id: str) -> bool:
    row = host.store.load("resource", id)
    return row is not None and row.record.lives
