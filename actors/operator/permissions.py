"""The permissions that an operator may hold, with their meaning. A permission is held or not; there is no wildcard."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

PERMISSIONS: Final[Mapping[str, str]] = {
    "system.peers.read": "see peers, their trust, audit trail, findings and events",
    "system.peers.invite": "propose, accept and regenerate tokens",
    "system.peers.manage": "change, probe and end peerings, trust, capabilities and grants",
    "system.resources.read": "see the resources of the catalogue",
    "system.resources.manage": "import, change and delete resources of the catalogue",
    "system.service_offerings.read": "see what is offered to peers, and who has a seat",
    "system.service_offerings.manage": "draft, open, change and retire what is offered to peers",
    "system.service_subscriptions.read": "browse the catalogues of peers, and see what is subscribed there",
    "system.service_subscriptions.subscribe": "subscribe to services of peers, renew and retry",
    "system.service_subscriptions.cancel": "end subscriptions",
    "system.platform.read": "see migrations",
    "system.migrations.plan": "plan migrations and decide about their conflicts",
    "system.migrations.apply": "apply planned migrations and try failed ones again",
    "system.migrations.cancel": "cancel migrations",
    "system.children.read": "see spawned children",
    "system.children.spawn": "spawn children",
    "system.children.manage": "manage and end children",
    "system.platform.health.read": "see the platform's health and its actors' flight recorder",
    "sdwan.federation.read": "see overlay federation peers",
    "sdwan.federation.manage": "change overlay federation peers",
    "system.infra_tasks.read": "see operations that wait for approval",
    "system.infra_tasks.control": "decide about operations that wait for approval",
    "system.operators.read": "see operators",
    "system.operators.manage": "create operators, set their permissions, disable them",
}

ALIASES: Final[Mapping[str, str]] = {
    "system.federation.spawn": "system.children.spawn",
    "system.sdwan.federation.read": "sdwan.federation.read",
    "system.sdwan.federation.manage": "sdwan.federation.manage",
}


_SPELLINGS: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset({name, *(alias for alias, meant in ALIASES.items() if meant == name)}) for name in PERMISSIONS
}
"""A permission's name to every name that it is known by."""


def canonical(permission: str) -> str | None:
    """The permission under its own name, or None if there is none such."""
    name = ALIASES.get(permission, permission)
    return name if name in PERMISSIONS else None


def satisfies(held: Collection[str], needed: str) -> bool:
    """Whether the held permissions include the needed one, under either name."""
    name = canonical(needed)
    return name is not None and not _SPELLINGS[name].isdisjoint(held)
