"""The row of a grant that has come to us, and what is told of it, whoever writes it.

Lives here: the making of the row, the audit entry and the event. Must not live here: the question whether a grant is welcome.
"""

from __future__ import annotations

from typing import Any

from actors.peer.record import PeerRecord
from actors.received_grant.record import GrantFacts, ReceivedGrantRecord, Source
from runtime.context import Context


def taken_in(
    ctx: Context, id: str, peer: PeerRecord, facts: GrantFacts, sealed: bytes | None, source: Source, by: str | None
) -> ReceivedGrantRecord:
    """The row of a grant that has come in this turn, with its bearer or without; `id` is that of the row."""
    return ReceivedGrantRecord(
        id=id,
        account_id=peer.account_id,
        federation_peer_id=peer.id,
        peering_epoch=peer.peering_epoch,
        grant_id=facts.grant_id,
        sealed_bearer=sealed,
        remote_subject=facts.remote_subject,
        resource_kind=facts.resource_kind,
        resource_id=facts.resource_id,
        permission_scopes=facts.permission_scopes,
        issued_at=facts.issued_at,
        expires_at=facts.expires_at,
        source=source,
        received_at=ctx.wall,
        received_by=by,
        updated_at=ctx.wall,
    )


def tell(ctx: Context, record: ReceivedGrantRecord, what: str, by_kind: str, by: str | None, **facts: Any) -> None:
    """The audit entry in the peer's chain and the event of one change, always together."""
    about = {
        "federation_peer_id": record.federation_peer_id,
        "received_grant_id": record.id,
        "grant_id": record.grant_id,
        "resource_kind": record.resource_kind,
        "resource_id": record.resource_id,
        "permission_scopes": list(record.permission_scopes),
    }
    ctx.audit_in(record.federation_peer_id, f"received_grant.{what}", by_kind, by, **about, **facts)
    ctx.emit(f"federation.received_grant.{what}", "low", record.account_id, **about, **facts)
