"""The governance actor: scans an account's peers every few minutes and remembers when each finding was first and last seen.

Lives here: the rhythm of the scan and its memory. Must not live here: any act on a peer; a finding informs, it never decides.

Rows are read in slices, so that other actors get their turns between them. What has been read so far is volatile: a scan that is cut
off begins again with the next one.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from actors.findings import Finding
from actors.governance import reading, scanner
from actors.governance.messages import ScanSlice, ScanTick, Start
from actors.governance.record import KIND, GovernanceRecord, appeared, merge
from actors.governance.reviewing import Reviewing
from actors.limits import GOVERNANCE_INTERVAL_S, GOVERNANCE_SETTLE_S, GOVERNANCE_SLICE
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.periodic.works import GOVERNANCE_SCAN, note_run
from actors.schema_rule.record import KIND as SCHEMA_RULE
from actors.schema_rule.record import to_matrix_row
from actors.schema_versions import MatrixRow
from runtime.actor import handles
from runtime.context import Context
from runtime.store.port import Condition, Query
from runtime.values import evolve

EVENT = "federation.governance.finding"


@attrs.define(eq=False)
class RunningScan:
    """A scan under way: what it found in the rows so far, and what the comparison of peers needs of them."""

    matrix: tuple[MatrixRow, ...]
    after_id: str | None = None
    found: list[Finding] = attrs.field(factory=list)
    records: list[PeerRecord] = attrs.field(factory=list)

    def let_go(self) -> None:
        """Be as at the beginning: the flight recorder may have noted this very object, and would keep what was read alive with it."""
        self.after_id = None
        self.found, self.records = [], []


class GovernanceActor(Reviewing):
    """One per account; it stays in memory, because its timer would bring it back every few minutes anyway."""

    kind = KIND
    passivate_after_s = None
    running: RunningScan | None = None

    def on_activated(self, ctx: Context) -> None:
        # After a start the peers' evidence is as old as the stop was long; the first heartbeats renew it within moments.
        ctx.after(GOVERNANCE_SETTLE_S, ScanTick(), "scan")
        if self.record is not None:
            self.schedule_review(ctx, self.record.reviewed_at)

    @handles(Start)
    def on_start(self, message: Start, ctx: Context) -> None:
        """Make the record, once; with it the scan resumes by itself after every start of the process."""
        if self.record is None:
            ctx.save(GovernanceRecord(id=message.account_id))
            ctx.after(GOVERNANCE_SETTLE_S, ScanTick(), "scan")
            self.schedule_review(ctx, ctx.wall)

    @handles(ScanTick)
    def on_scan_tick(self, message: ScanTick, ctx: Context) -> None:
        ctx.after(GOVERNANCE_INTERVAL_S, ScanTick(), "scan")
        if self.running is None:
            rules = ctx.query(Query(SCHEMA_RULE.name, ((Condition("account_id", "=", ctx.ref.id),),)))
            self.running = RunningScan(tuple(to_matrix_row(row.record) for row in rules))
            self._read_slice(ctx, self.running)

    @handles(ScanSlice)
    def on_scan_slice(self, message: ScanSlice, ctx: Context) -> None:
        if self.running is not None:
            self._read_slice(ctx, self.running)

    def _read_slice(self, ctx: Context, running: RunningScan) -> None:
        mine = (Condition("account_id", "=", ctx.ref.id), Condition("past", "=", 0))
        rows = ctx.query(Query(PEER.name, (mine,), newest_first=False, after_id=running.after_id, limit=GOVERNANCE_SLICE))
        for row in rows:
            # The object that is in memory anyway; the copy just read is let go, or all peers, and the texts that findings take from
            # them, would be there twice at the end.
            record = ctx.engine.directory.freshest(PEER.name, row).record
            running.found += scanner.scan_peer(record, row.evidence, ctx.settings, ctx.wall, running.matrix)
            running.records.append(record)
        if len(rows) == GOVERNANCE_SLICE:
            running.after_id = rows[-1].record.id
            ctx.after(0.0, ScanSlice(), "slice")
            return
        self.running = None
        across = reading.scan_across(ctx.query, ctx.row, ctx.ref.id, running.records, ctx.settings, ctx.wall)
        fresh = (*running.found, *across)
        running.let_go()
        self._keep(ctx, fresh)

    def _keep(self, ctx: Context, fresh: Sequence[Finding]) -> None:
        note_run(ctx, GOVERNANCE_SCAN, ctx.ref.id)
        record: GovernanceRecord = self.record
        findings = merge(record.findings, fresh, ctx.wall)
        if not findings and not record.findings:
            return
        for finding in appeared(record.findings, findings):
            if finding.severity in ("high", "critical"):
                ctx.emit(
                    EVENT,
                    finding.severity,
                    ctx.ref.id,
                    federation_peer_id=finding.federation_peer_id,
                    finding=finding.kind,
                    fingerprint=finding.fingerprint,
                    message=finding.message,
                )
        ctx.save(evolve(record, findings=findings, scanned_at=ctx.wall))
