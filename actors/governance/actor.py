"""The governance actor: scans an account's peers every few minutes and remembers when each finding was first seen."""

from __future__ import annotations

import attrs

from actors.findings import Finding
from actors.governance import scanner
from actors.governance.messages import ScanSlice, ScanTick, Start
from actors.governance.record import KIND, GovernanceRecord, merge
from actors.limits import GOVERNANCE_INTERVAL_S
from actors.peer.record import KIND as PEER
from runtime.actor import Actor, Resume, handles
from runtime.context import Context
from runtime.store.port import Condition, Query, Row

SLICE_ROWS = 200


class GovernanceActor(Actor):
    """One per account."""

    kind = KIND
    passivate_after_s = None
    rows: tuple[Row, ...] = ()
    after_id: str | None = None
    scanning: bool = False

    def on_activated(self, ctx: Context) -> None:
        ctx.after(GOVERNANCE_INTERVAL_S, ScanTick(), "scan")

    @handles(Resume)
    def on_resume(self, message: Resume, ctx: Context) -> None:
        """Entering memory has armed the scan."""

    @handles(Start)
    def on_start(self, message: Start, ctx: Context) -> None:
        if self.record is None:
            ctx.save(GovernanceRecord(id=message.account_id))
            ctx.after(GOVERNANCE_INTERVAL_S, ScanTick(), "scan")

    @handles(ScanTick)
    def on_scan_tick(self, message: ScanTick, ctx: Context) -> None:
        ctx.after(GOVERNANCE_INTERVAL_S, ScanTick(), "scan")
        if not self.scanning:
            self.scanning, self.rows, self.after_id = True, (), None
            ctx.after(0.0, ScanSlice(), "slice")

    @handles(ScanSlice)
    def on_scan_slice(self, message: ScanSlice, ctx: Context) -> None:
        """Read one slice of rows; with the last one, judge them all."""
        mine = (Condition("account_id", "=", ctx.ref.id), Condition("status", "!=", "revoked"))
        rows = ctx.query(Query(PEER.name, (mine,), newest_first=False, after_id=self.after_id, limit=SLICE_ROWS))
        self.rows = (*self.rows, *rows)
        if len(rows) == SLICE_ROWS:
            self.after_id = rows[-1].record.id
            ctx.after(0.0, ScanSlice(), "slice")
            return
        fresh = scanner.scan(self.rows, ctx.settings, ctx.wall)
        self.scanning, self.rows = False, ()
        self._keep(ctx, fresh)

    def _keep(self, ctx: Context, fresh: tuple[Finding, ...]) -> None:
        record: GovernanceRecord = self.record
        open_before = {finding.fingerprint for finding in record.findings if finding.resolved_at is None}
        open_now = {finding.fingerprint for finding in fresh}
        if open_now == open_before:
            return
        for finding in fresh:
            if finding.fingerprint not in open_before and finding.severity in ("high", "critical"):
                ctx.emit("federation.governance.finding", finding.severity, ctx.ref.id, federation_peer_id=finding.federation_peer_id,
                         finding_kind=finding.kind, message=finding.message)  # fmt: skip
        findings = merge(record.findings, fresh, ctx.wall)
        ctx.save(attrs.evolve(record, findings=findings, scanned_at=ctx.wall))
