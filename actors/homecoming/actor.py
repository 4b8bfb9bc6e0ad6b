"""The actor of one question to one peer: asks page by page, and has everything that is claimed held before it counts as answered.

Lives here: the asking, and the strict reading of the answer. Must not live here: what becomes of a claim, which an operator decides
(`powernode migrations resolve`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.homecoming.messages import AskHomes, Claimed, TakeClaim
from actors.homecoming.record import ASK_EVERY_S, CLAIMED_IDS_MAX, CLAIMS_PAGE, KIND, HomecomingRecord
from actors.inventory.registry import find
from actors.migration.record import MIGRATION
from actors.migration.steps import Header
from actors.peer.outbound import exchange
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.ports import RemoteReply
from actors.resource.record import KIND as RESOURCE
from runtime.actor import Actor, Due, Ref, handles
from runtime.context import Context
from runtime.deadlines import has_come
from runtime.errors import Fault
from runtime.ids import is_uuid
from runtime.store.port import Condition, Query
from runtime.values import evolve

PATH = "/federation_api/migrations/arrived"
DIGEST_CHARS = 64


class HomecomingActor(Actor):
    """One question."""

    kind = KIND
    asking: bool = False

    def holds_work(self) -> bool:
        return self.asking

    @handles(AskHomes)
    def on_ask_homes(self, message: AskHomes, ctx: Context) -> None:
        record: HomecomingRecord | None = self.record
        if record is None or record.epoch < message.epoch:
            ctx.save(HomecomingRecord(id=ctx.ref.id, account_id=message.account_id, epoch=message.epoch, look_at=ctx.wall))

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: HomecomingRecord | None = self.record
        if record is None or record.answered_at is not None or not has_come(record.look_at, ctx.wall, ASK_EVERY_S):
            return
        peer = self._peer(ctx)
        if peer is None or peer.status == "revoked":
            # Nobody is left to be asked.
            self._answered(ctx, record, "peer_gone")
            return
        ctx.save(evolve(record, look_at=ctx.wall + ASK_EVERY_S))
        after = f"&after={record.after}" if record.after is not None else ""
        request = exchange(peer, None, ctx.settings, ctx.wall, "GET", f"{PATH}?limit={CLAIMS_PAGE}{after}")
        if not self.asking and not isinstance(request, Fault):
            self.asking = True
            ctx.call(request, then=Claimed, tag=record.after)

    @handles(Claimed)
    def on_claimed(self, message: Claimed, ctx: Context) -> None:
        self.asking = False
        record: HomecomingRecord | None = self.record
        reply = message.outcome
        peer = self._peer(ctx)
        if record is None or peer is None or record.answered_at is not None or message.tag != record.after:
            return
        if not isinstance(reply, RemoteReply) or reply.status != 200 or not isinstance(reply.body.get("data"), list):
            return
        told, meta = reply.body["data"][:CLAIMS_PAGE], reply.body.get("meta")
        following = meta.get("next_cursor") if isinstance(meta, dict) else None
        open_claims = sum(1 for entry in told if not self._held(ctx, record, peer, entry))
        if open_claims:
            # Asked again once they are held: only then may anything be written.
            ctx.save(evolve(record, look_at=ctx.wall + 1.0))
        elif isinstance(following, str) and is_uuid(following) and following > (record.after or ""):
            ctx.save(evolve(record, after=following, look_at=ctx.wall))
        else:
            self._answered(ctx, record, "answered")

    def _held(self, ctx: Context, record: HomecomingRecord, peer: PeerRecord, entry: Any) -> bool:
        """Whether a claim needs nothing more: it is none, we know of it ourselves, or its records are held."""
        claim = parse(entry)
        if claim is None:
            return True
        id, header, digest, ids = claim
        known = ctx.query(Query(MIGRATION.name, ((Condition("transfer_id", "=", id),),), limit=1))
        here = [
            (row.record.id, row.record.kind)
            for row in ctx.query(Query(RESOURCE.name, ((Condition("id", "in", ids),),)))
            if row.record.account_id == record.account_id and row.record.lives and row.record.frozen_by is None and not row.record.incoming
        ]
        if not here or (known and not known[0].record.claimed):
            return True
        claim_taken = TakeClaim(
            account_id=record.account_id,
            header=header,
            peer_id=peer.id,
            peering_epoch=peer.peering_epoch,
            plan_digest=digest,
            ids=tuple(sorted(here)),
        )
        ctx.send(Ref(MIGRATION.name, id), claim_taken)
        return False

    def _answered(self, ctx: Context, record: HomecomingRecord, how: str) -> None:
        ctx.audit_in(record.id, "homecoming.answered", "system", None, how=how, epoch=record.epoch)
        ctx.save(evolve(record, answered_at=ctx.wall, look_at=None))

    def _peer(self, ctx: Context) -> PeerRecord | None:
        row = ctx.row(PEER.name, ctx.ref.id)
        return row.record if row is not None else None


def parse(entry: object) -> tuple[str, Header, str, tuple[str, ...]] | None:
    """Attempt, header, digest and ids of a claim, or None if it is malformed. It is hostile."""
    if not isinstance(entry, Mapping):
        return None
    id, digest, listed, kind = (entry.get(name) for name in ("migration_id", "plan_digest", "ids", "root_resource_kind"))
    root = entry.get("root_resource_id")
    known = find(kind) if isinstance(kind, str) else None
    if not (is_uuid(id) and is_uuid(root) and isinstance(digest, str) and len(digest) == DIGEST_CHARS and digest.isalnum()):
        return None
    if known is None or not isinstance(listed, list) or not listed or len(listed) > CLAIMED_IDS_MAX or not all(map(is_uuid, listed)):
        return None
    header = Header(operation="migrate", root_resource_kind=known.kind, root_resource_id=str(root))
    return str(id), header, digest, tuple(listed)
