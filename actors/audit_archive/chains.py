"""Which audit chains there are, and whose they are. Pure.

Lives here: what has a chain of its own, and how the chains of an account are gone through. Must not live here: their entries (the store),
what of them has been shipped (`record`).

A chain is named by the id of what it tells of. Rotation and freezing of trust have one chain together, named by the instance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from actors.approval.record import KIND as APPROVAL
from actors.offering.record import KIND as OFFERING
from actors.peer.record import KIND as PEER
from runtime.store.port import Condition, Kind, Query, Row
from runtime.values import Value

ChainKind = Literal["peer", "service_offering", "approval", "platform"]

OWNERS: Final[Mapping[ChainKind, Kind]] = {"peer": PEER, "service_offering": OFFERING, "approval": APPROVAL}
"""Whose rows have a chain each. Everything else is written into the chain of the peer that it concerns, or into the platform's own."""


class Chain(Value, frozen=True):
    """An audit chain: the id of what it tells of, and what that is. It may have no entry yet."""

    id: str
    kind: ChainKind


def following(ids: Callable[[Query], list[str]], account_id: str, instance_id: str, after_id: str | None, limit: int) -> list[Chain]:
    """The next chains of an account behind `after_id`, ascending by id; none if there are no more."""
    mine = (Condition("account_id", "=", account_id),)
    found = [
        Chain(id, kind)
        for kind, owner in OWNERS.items()
        for id in ids(Query(owner.name, (mine,), newest_first=False, after_id=after_id, limit=limit))
    ]
    if after_id is None or instance_id > after_id:
        found.append(Chain(instance_id, "platform"))
    return sorted(found, key=lambda chain: chain.id)[:limit]


def chain_of(row: Callable[[str, str], Row | None], account_id: str, instance_id: str, id: str) -> Chain | None:
    """The chain of this name, if it is one of the account's, or the platform's own."""
    if id == instance_id:
        return Chain(id, "platform")
    for kind, owner in OWNERS.items():
        found: Any = row(owner.name, id)
        if found is not None and found.record.account_id == account_id:
            return Chain(id, kind)
    return None
