"""What is told of a change of a grant on our own side: the audit entry and the event, always together.

Lives here: what either of them says. Must not live here: what the holder is told (the writer of the row knows whether it is to be).
"""

from __future__ import annotations

from typing import Any

from actors.grant.axes import AXES
from actors.grant.record import GrantRecord
from runtime.clock import iso
from runtime.context import Context


def tell(ctx: Context, record: GrantRecord, what: str, by_kind: str, by: str | None, **payload: Any) -> None:
    """Tell it in the chain of the peer, which is the actor's own. Allowlists stand in the audit chain only."""
    about = {"federation_peer_id": record.federation_peer_id, "grant_id": record.id}
    ctx.audit(f"grant.{what}", by_kind, by, **about, **payload)
    shown = {name: value for name, value in payload.items() if name != "allowlists"}
    broad = what == "issued" and record.unrestricted
    ctx.emit(f"federation.grant.{what}", "medium" if broad else "low", record.account_id, **about, **_outline(record), **shown)


def allowed(record: GrantRecord) -> dict[str, Any]:
    """What a grant allows, and to whom."""
    return {
        "remote_subject": record.remote_subject,
        "expires_at": iso(record.expires_at),
        "unrestricted": record.unrestricted,
        "allowlists": {name: list(record.axis(name)) for name in AXES},
    }


def issued(ctx: Context, record: GrantRecord, by: str | None) -> None:
    """Tell of a new grant."""
    facts = {"origin": record.origin, "bare_token": record.bare_token, "replaces": record.replaces_grant_id}
    tell(ctx, record, "issued", record.grantor_type, by, **allowed(record), **facts)


def _outline(record: GrantRecord) -> dict[str, Any]:
    return {"resource_kind": record.resource_kind, "resource_id": record.resource_id, "permission_scopes": list(record.permission_scopes)}
