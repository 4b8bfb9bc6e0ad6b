"""Every kind of actor there is, by name. Both composition roots build their engine from this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from actors.approval.actor import ApprovalActor
from actors.audit_archive.actor import Archivist, ShipmentRow
from actors.audit_archive.pruning import Pruner
from actors.bridge.actor import BridgeActor
from actors.capability.actor import CapabilityActor
from actors.capability.ledger import PushedRecordActor
from actors.continuity.actor import ContinuityActor
from actors.governance.actor import GovernanceActor
from actors.grant.actor import GrantActor
from actors.grant.count import GrantCountActor
from actors.grant.desk import GrantDesk
from actors.homecoming.actor import HomecomingActor
from actors.hub.actor import HubActor
from actors.idempotency.actor import RememberedAnswerActor
from actors.migration.actor import MigrationActor
from actors.migration.arrival import ArrivalActor, StagedStepActor
from actors.migration_chain.actor import MigrationChainActor
from actors.migration_chain.hop import ChainHopActor
from actors.mirror.shelf import MirrorActor, MirrorShelfActor
from actors.offering.actor import OfferingActor
from actors.offering.lease import LeaseActor
from actors.operator.actor import OperatorActor
from actors.peer.actor import PeerActor
from actors.peer.record import restored
from actors.periodic.actor import PeriodicActor
from actors.received_grant.actor import ReceivedGrantActor
from actors.resource.actor import CatalogueActor, ResourceActor
from actors.revoked_certificate.actor import RevokedCertificateActor
from actors.rotation.actor import RotationActor
from actors.schema_rule.actor import SchemaRuleActor
from actors.subscription.actor import SubscriptionActor
from actors.subscription.catalogue import PeerCatalogueActor
from actors.subscription.routes import ProxyRoutesActor
from actors.wall_clock.actor import WallClockActor
from runtime.actor import Actor
from runtime.store.port import Kind

_ALL: Final[tuple[type[Actor], ...]] = (
    PeerActor,
    OperatorActor,
    SchemaRuleActor,
    GovernanceActor,
    RememberedAnswerActor,
    GrantDesk,
    GrantActor,
    RevokedCertificateActor,
    ContinuityActor,
    RotationActor,
    CatalogueActor,
    ResourceActor,
    ReceivedGrantActor,
    BridgeActor,
    HubActor,
    OfferingActor,
    LeaseActor,
    SubscriptionActor,
    ProxyRoutesActor,
    PeerCatalogueActor,
    Archivist,
    ShipmentRow,
    Pruner,
    MigrationActor,
    ArrivalActor,
    StagedStepActor,
    ApprovalActor,
    GrantCountActor,
    CapabilityActor,
    PushedRecordActor,
    MirrorShelfActor,
    MirrorActor,
    MigrationChainActor,
    ChainHopActor,
    HomecomingActor,
    PeriodicActor,
    WallClockActor,
)

KINDS: Final[tuple[Kind, ...]] = tuple(actor.kind for actor in _ALL if actor.kind is not None)
ACTORS: Final[Mapping[str, type[Actor]]] = {actor.kind.name: actor for actor in _ALL if actor.kind is not None}

ON_RESTORE: Final[Mapping[str, Callable[[Any], Any]]] = {PeerActor.kind.name: restored}
"""By kind: what a record of a restored backup becomes (see `runtime.store.backup.OnRestore`)."""

DOMAIN_VERSION: Final = 1
"""Raised when stored records change in meaning without changing in shape; the store then projects every row anew."""
