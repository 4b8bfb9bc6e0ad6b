"""What we allow a peer: the frozen record of one grant, what its use has shown, and how both are stored and found.

Lives here: fields, defaults, index columns, the unique key, the deadline. Must not live here: the states (see `lifecycle`), the decision
about a call (see `chain`), or who may write (one actor for each peer, see `book`; seats and the grant of a managed child are begun by
`actors.offering` and `actors.peer.stewardship`).

A grant is effective only while its `peering_epoch` equals its peer's, so that the end of a peering ends all its grants in one write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from actors.grant.axes import ANY, AXES, Axis, AxisName, all_any, is_explicit
from actors.grant.lifecycle import archive_at
from runtime.store.port import Kind

Scope = Literal["read", "write", "admin", "migrate"]
Origin = Literal["operator", "service_catalog", "managed_child", "migration"]
GrantorType = Literal["user", "system"]

SCOPES: Final[tuple[Scope, ...]] = ("read", "write", "admin", "migrate")
"""No scope implies another."""
ORIGINS: Final[tuple[Origin, ...]] = ("operator", "service_catalog", "managed_child", "migration")
BROAD_SCOPES: Final[frozenset[str]] = frozenset({"admin", "migrate"})


@attrs.frozen(kw_only=True)
class GrantRecord:
    """One grant. Times are seconds since the epoch; names of fields are those of the operator surface.

    Attributes:
        resource_kind: canonical name of a registered kind; `resource_id` None means every resource of it.
        peering_epoch: of the peer when the grant was issued.
        expired_at: set once the expiry has been told; the grant ends at `expires_at` whether or not it has been.
        revocation_immediate: no grace for a migration in flight.
        token_digest: hex SHA-256 of the secret part of the bearer; None for a bare token, which has none.
        previous_token_digest, previous_token_until: the former bearer, good until then after a rotation with overlap.
        replaces_grant_id, replaced_by: the two ends of a renewal.
    """

    id: str
    version: int = 0
    account_id: str
    federation_peer_id: str
    peering_epoch: int = 0
    grantor_type: GrantorType = "user"
    grantor_id: str | None = None
    origin: Origin = "operator"
    remote_subject: str
    label: str | None = None
    resource_kind: str
    resource_id: str | None = None
    permission_scopes: tuple[str, ...] = ("read",)
    node_instance_ids: Axis = ANY
    sdwan_network_ids: Axis = ANY
    source_cidrs: Axis = ANY
    issued_at: float
    expires_at: float
    expired_at: float | None = None
    revoked_at: float | None = None
    revoked_by: str | None = None
    revocation_reason: str | None = None
    revocation_immediate: bool = False
    archived_at: float | None = None
    bare_token: bool = False
    token_digest: str | None = attrs.field(default=None, repr=False)
    token_version: int = 1
    previous_token_digest: str | None = attrs.field(default=None, repr=False)
    previous_token_until: float | None = None
    last_reviewed_at: float | None = None
    last_reviewed_by: str | None = None
    replaces_grant_id: str | None = None
    replaced_by: str | None = None
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    updated_at: float

    def axis(self, name: AxisName) -> Axis:
        """One axis by its name."""
        found: Axis = getattr(self, name)
        return found

    @property
    def unrestricted(self) -> bool:
        """Whether no axis restricts anything."""
        return all_any(self.axis(name) for name in AXES)

    @property
    def corrupt(self) -> bool:
        """Whether an axis is stored blank, which no write of ours makes. Such a grant admits nobody."""
        return not all(is_explicit(self.axis(name)) for name in AXES)


@attrs.frozen(kw_only=True)
class GrantUsage:
    """What calls under a grant have shown. Times are seconds since the epoch.

    Attributes:
        told_at: when a use was last written to the audit chain.
    """

    last_used_at: float | None = None
    use_count: int = 0
    denied_count: int = 0
    told_at: float | None = None


def slot(account_id: str, peer_id: str, subject: str, kind: str, resource_id: str | None) -> str:
    """What two grants in force must not share."""
    return "\0".join((account_id, peer_id, subject, kind, resource_id or "*"))


def slot_of(record: GrantRecord) -> str:
    """The slot of a grant."""
    return slot(record.account_id, record.federation_peer_id, record.remote_subject, record.resource_kind, record.resource_id)


def has_ended(record: GrantRecord) -> bool:
    """Whether the end of the grant has been noted; `lifecycle.state` knows before."""
    return record.revoked_at is not None or record.expired_at is not None or record.archived_at is not None


def target(peer_id: str, kind: str, resource_id: str | None) -> str:
    """The column by which the grants that could cover a call are found, whatever else a peer has."""
    return f"{peer_id} {kind} {resource_id or '*'}"


def _project(record: GrantRecord) -> dict[str, Any]:
    over = record.revoked_at is not None or record.archived_at is not None
    return {
        "account_id": record.account_id,
        "peer_id": record.federation_peer_id,
        "open_peer_id": None if over else record.federation_peer_id,
        "target": target(record.federation_peer_id, record.resource_kind, record.resource_id),
        "corrupt": 1 if record.corrupt else None,
        "wide": 1 if record.unrestricted and not over else None,
    }


def _due(record: GrantRecord) -> float | None:
    if record.archived_at is not None:
        return None
    return archive_at(record) if has_ended(record) else record.expires_at


KIND = Kind(
    name="grant",
    record=GrantRecord,
    columns={"account_id": "text", "peer_id": "text", "open_peer_id": "text", "target": "text", "corrupt": "integer", "wide": "integer"},
    project=_project,
    unique={"slot": "grant_exists"},
    keys=lambda record: {"slot": None if has_ended(record) else slot_of(record)},
    due=_due,
    evidence=GrantUsage,
)
