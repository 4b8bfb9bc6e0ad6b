"""The row of one grant as an actor: its alarm clock and the tally of its use.

Lives here: evidence, and word to the book when a deadline passes. Must not live here: any change of the record; the book of the peer is its
only writer, so that a renewal, the uniqueness among grants in force and the grant tests see one order of events.
"""

from __future__ import annotations

from actors.grant.messages import Denied, Ended, Lapsed, NoteFirstUse, Used
from actors.grant.record import KIND, GrantRecord, GrantUsage
from actors.limits import GRANT_USAGE_WRITTEN_EVERY_S, GRANT_USE_TOLD_EVERY_S
from actors.peer.dependants import DEPENDANTS, Dependant
from actors.peer.messages import PeeringEnded
from actors.wall_clock.standing import has_passed
from runtime.actor import Actor, Due, Ref, handles
from runtime.context import Context
from runtime.values import Value, evolve

BOOK = "grant_book"

DEPENDANTS.append(Dependant(kind=KIND.name, phase="draining", open=(), peer_column="open_peer_id"))


class Write(Value, frozen=True):
    """Time to write the tally."""


class GrantActor(Actor):
    """One grant. What happened since the tally was last written is volatile: a crash loses at most a minute of counting."""

    kind = KIND
    usage: GrantUsage | None = None

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: GrantRecord | None = self.record
        ends_at = KIND.due(record) if record is not None else None
        if record is not None and ends_at is not None and has_passed(ctx, ends_at):
            ctx.send(Ref(BOOK, record.federation_peer_id), Ended(record.id))

    @handles(PeeringEnded)
    def on_peering_ended(self, message: PeeringEnded, ctx: Context) -> None:
        record: GrantRecord | None = self.record
        if record is not None:
            lapsed = Lapsed(grant_id=record.id, peering_epoch=message.peering_epoch)
            ctx.send(Ref(BOOK, record.federation_peer_id), lapsed)

    @handles(Used)
    def on_used(self, message: Used, ctx: Context) -> None:
        record: GrantRecord | None = self.record
        if record is None:
            return
        seen = self._seen()
        told_at = seen.told_at
        if told_at is None or message.at // GRANT_USE_TOLD_EVERY_S != told_at // GRANT_USE_TOLD_EVERY_S:
            note = NoteFirstUse(record.account_id, record.id, record.remote_subject, message.source, message.bare)
            ctx.send(Ref(BOOK, record.federation_peer_id), note)
            told_at = message.at
        self._count(ctx, evolve(seen, use_count=seen.use_count + message.times, last_used_at=message.at, told_at=told_at))

    @handles(Denied)
    def on_denied(self, message: Denied, ctx: Context) -> None:
        if self.record is not None:
            seen = self._seen()
            self._count(ctx, evolve(seen, denied_count=seen.denied_count + 1))

    def _seen(self) -> GrantUsage:
        return self.usage or self.evidence or GrantUsage()

    def _count(self, ctx: Context, usage: GrantUsage) -> None:
        if self.usage is not None:
            self.usage = usage
            return
        # The first one goes to the disk soon; what follows within the minute goes together.
        self.usage = usage
        ctx.set_evidence(usage)
        ctx.after(GRANT_USAGE_WRITTEN_EVERY_S, Write(), "write")

    @handles(Write)
    def on_write(self, message: Write, ctx: Context) -> None:
        usage, self.usage = self.usage, None
        if usage is not None and usage != self.evidence:
            ctx.set_evidence(usage)

    def holds_work(self) -> bool:
        return self.usage is not None
