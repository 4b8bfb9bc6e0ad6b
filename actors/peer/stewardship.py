"""The grant by which a parent operates its managed child: given with the child's accept, held by the parent.

Lives here: the child's row of it, issued in the transaction that saves the accept call, and the parent's, written in the transaction of the
acceptance; so neither side knows of a handshake without the grant that goes with it. Must not live here: the accept itself (`calling`,
`minting`), or how a child takes the grant back (`emancipating`).

An accept may be repeated, given up and begun anew. The child has one such grant in force at a time: a later accept gives that one another
bearer, and the former stays good until the parent says that it holds the new one, since nobody knows before which of them it has.
"""

from __future__ import annotations

from typing import Final

from actors.grant import telling, tokens
from actors.grant.count import counted
from actors.grant.lifecycle import state
from actors.grant.messages import Draft
from actors.grant.record import KIND as GRANT
from actors.grant.record import GrantRecord, Scope, target
from actors.peer.messages import OfferedGrant
from actors.peer.peer_events import OPERATOR_GRANT
from actors.peer.record import GivenGrant, PeerRecord
from actors.peer.steps import standing_alone
from actors.received_grant.record import KIND as RECEIVED
from actors.received_grant.record import GrantFacts, of_peer, row_id
from actors.received_grant.taking import taken_in, tell
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.secret import Secret
from runtime.store.port import Condition, Query
from runtime.values import Value, evolve

SCOPES: Final[tuple[Scope, ...]] = ("read", "write", "admin")
ISSUED_BY: Final = "managed_child_accept_cascade"
REPLACED: Final = "replaced"


NOT_MANAGED: Final = OperatorFault("not_managed_child", "this platform is not the managed child of this peer", 422)


class Drawn(Value, frozen=True):
    """A bearer that has been made and is not on the disk yet."""

    grant_id: str
    digest: str


# --- the child ------------------------------------------------------------------------------------------------------


def is_child(record: PeerRecord) -> bool:
    """Whether we are the managed child of this peer and do not stand on our own."""
    return record.spawn_role == "child" and record.spawn_mode == "managed_child" and not standing_alone(record)


def of_parent(ctx: Context, record: PeerRecord) -> list[GrantRecord]:
    """Every grant of that kind that we have given our parent in this peering."""
    rows = ctx.query(Query(GRANT.name, ((Condition("target", "=", target(record.id, OPERATOR_GRANT, None)),),)))
    return [row.record for row in rows if row.record.origin == "managed_child" and row.record.peering_epoch == record.peering_epoch]


def in_force(ctx: Context, record: PeerRecord) -> GrantRecord | None:
    """The one that the parent may use, or could once it is accepted."""
    return next((grant for grant in of_parent(ctx, record) if state(grant, ctx.wall) == "active"), None)


def taken_back(ctx: Context, record: PeerRecord) -> bool:
    """Whether our operators have revoked what we gave. That is for good, so no accept gives it again."""
    return any(grant.revoked_at is not None and grant.replaced_by is None for grant in of_parent(ctx, record))


def may_not_give(ctx: Context, record: PeerRecord) -> Fault | None:
    """Why we give this peer no right to operate us, or None."""
    return None if is_child(record) and not taken_back(ctx, record) else NOT_MANAGED


def draft(record: PeerRecord, ttl_s: float) -> Draft:
    """What such a grant allows."""
    return Draft(remote_subject=_subject(record), resource_kind=OPERATOR_GRANT, permission_scopes=SCOPES, ttl_s=ttl_s)


def _subject(record: PeerRecord) -> str:
    return f"parent-operator@{record.id}"


def draw(ctx: Context, record: PeerRecord) -> tuple[Drawn, Secret] | None:
    """A bearer to go along with an accept, or None if the remote gets none. Nothing is written."""
    if may_not_give(ctx, record) is not None:
        return None
    live = in_force(ctx, record)
    grant_id = live.id if live is not None else ctx.new_id()
    bearer, digest = tokens.mint(grant_id, ctx.token_bytes(tokens.SECRET_BYTES))
    assert digest is not None
    return Drawn(grant_id, digest), bearer


def give(ctx: Context, record: PeerRecord, drawn: Drawn, sealed: bytes) -> GivenGrant | None:
    """Write the grant that the bearer opens, in this turn; None if it was taken back or changed since the bearer was drawn."""
    live = in_force(ctx, record)
    if taken_back(ctx, record) or (live is not None and live.id != drawn.grant_id):
        return None
    if live is None:
        grant = _new(ctx, record, drawn)
        counted(ctx, record.account_id, ends=0, begins=1)
        telling.issued(ctx, grant, None)
        ctx.put_row(GRANT.name, grant)
    else:
        grant = evolve(
            live,
            version=live.version + 1,
            token_digest=drawn.digest,
            token_version=live.token_version + 1,
            previous_token_digest=live.previous_token_digest or live.token_digest,
            previous_token_until=live.expires_at,
            updated_at=ctx.wall,
        )
        telling.tell(ctx, grant, "rotated", "system", None, token_version=grant.token_version, reason="accept")
        ctx.put_row(GRANT.name, grant, live.version)
    return GivenGrant(
        grant_id=grant.id, sealed_bearer=sealed, digest=drawn.digest, scopes=grant.permission_scopes, expires_at=grant.expires_at
    )


def _new(ctx: Context, record: PeerRecord, drawn: Drawn) -> GrantRecord:
    return GrantRecord(
        id=drawn.grant_id,
        version=1,
        account_id=record.account_id,
        federation_peer_id=record.id,
        peering_epoch=record.peering_epoch,
        grantor_type="system",
        origin="managed_child",
        remote_subject=_subject(record),
        resource_kind=OPERATOR_GRANT,
        permission_scopes=SCOPES,
        issued_at=ctx.wall,
        expires_at=ctx.wall + ctx.settings.federation.managed_grant_ttl_s,
        token_digest=drawn.digest,
        metadata={"auto_issued_by": ISSUED_BY},
        updated_at=ctx.wall,
    )


def held_by_parent(ctx: Context, given: GivenGrant) -> None:
    """The parent holds this bearer: whatever opened the grant before does so no more."""
    row = ctx.row(GRANT.name, given.grant_id)
    grant: GrantRecord | None = row.record if row is not None else None
    if grant is None or grant.token_digest != given.digest or grant.previous_token_digest is None:
        return
    ended = evolve(grant, version=grant.version + 1, previous_token_digest=None, previous_token_until=None, updated_at=ctx.wall)
    ctx.put_row(GRANT.name, ended, grant.version)


# --- the parent -----------------------------------------------------------------------------------------------------


def is_parent(record: PeerRecord) -> bool:
    """Whether this peer is to give us the grant: our managed child, unless it stands on its own."""
    return record.spawn_role == "parent" and record.spawn_mode == "managed_child" and not standing_alone(record)


def take(ctx: Context, record: PeerRecord, offered: OfferedGrant, sealed: bytes) -> None:
    """Hold the bearer from the commit of this turn on; `record` is the peer's as the turn leaves it. One such grant is held at a time."""
    id = row_id(record.id, offered.grant_id)
    facts = GrantFacts(
        grant_id=offered.grant_id,
        remote_subject=None,
        resource_kind=OPERATOR_GRANT,
        resource_id=None,
        permission_scopes=offered.scopes,
        issued_at=ctx.wall,
        expires_at=offered.expires_at,
        state="active",
    )
    version = None
    for row in ctx.query(of_peer(record.id)):
        if row.record.id == id:
            version = row.record.version
        elif row.record.resource_kind == OPERATOR_GRANT:
            tell(ctx, row.record, "destroyed", "remote", record.remote_instance_id, reason=REPLACED)
            ctx.delete_row(RECEIVED.name, row.record.id)
    held = evolve(taken_in(ctx, id, record, facts, sealed, "accept", None), version=(version or 0) + 1)
    tell(ctx, held, "received", "remote", record.remote_instance_id, source=held.source)
    ctx.put_row(RECEIVED.name, held, version)
