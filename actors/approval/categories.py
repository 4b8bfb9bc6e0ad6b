"""What can wait for approval: the closed table of categories.

Lives here: the category's name, what it may touch, what its requester must be allowed to do. Must not live here: who carries it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from runtime.values import Value

BlastRadius = Literal["low", "medium", "high"]


class Category(Value, frozen=True, kw_only=True):
    """One kind of gated operation.

    Attributes:
        name: what policies and requests call it.
        permission: what an operator who asks for it must hold, also when it is carried out; None for what peers ask for.
        permissions: the same where it depends on the kind of what it is about; `permission` for any other kind.
        blast_radius: how far a mistake reaches.
        of_peering: whether it is about something that the peering with its peer makes possible, so that it does not outlive that.
    """

    name: str
    permission: str | None
    blast_radius: BlastRadius
    of_peering: bool = False
    permissions: Mapping[str, str] = msgspec.field(default_factory=dict)


PEER_RESIDENCY: Final = "sdwan.federation_peer_data_residency"

RESIDENCY_OVERRIDE: Final = "federation.residency_override"
OFFERING_CUTOFF: Final = "system.service_offering_cutoff"

_ALL: Final = (
    Category(name=PEER_RESIDENCY, permission="system.peers.manage", blast_radius="medium"),
    Category(name="system.migration_hop", permission=None, blast_radius="high", of_peering=True),
    Category(name="system.migration_overwrite", permission="system.migrations.plan", blast_radius="high", of_peering=True),
    Category(
        name=RESIDENCY_OVERRIDE,
        permission="system.migrations.plan",
        permissions={"service_subscription": "system.service_subscriptions.subscribe"},
        blast_radius="high",
        of_peering=True,
    ),
    Category(name=OFFERING_CUTOFF, permission="system.service_offerings.manage", blast_radius="high"),
)

CATEGORIES: Final[Mapping[str, Category]] = {category.name: category for category in _ALL}
