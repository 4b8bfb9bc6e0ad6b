"""The consents between this platform and one peer about relaying, and what has been relayed.

Lives here: the record, its unique key, its evidence and its forms. Must not live here: which step is allowed (see `lifecycle`), or which
connection is relayed (see `routing`).

The row has the id of its peer. Of two peers that claim one server name only one can be permitted: the key is unique.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from actors.hub.lifecycle import State
from actors.settings import Settings
from runtime.clock import iso, iso_or_none
from runtime.store.port import Kind


@attrs.frozen(kw_only=True)
class Terms:
    """On which terms a peer is reached through us.

    Attributes:
        connections_max: relayed connections at a time; None for the setting.
        new_connections_max: relayed connections that begin within a minute; None for the setting.
        rate_bytes: bytes per second in both directions together; None for the setting.
        sources: networks from which connections to the peer are relayed; empty for every source.
        denied: networks from which none are, whatever `sources` says.
    """

    connections_max: int | None = None
    rate_bytes: int | None = None
    sources: tuple[str, ...] = ()
    new_connections_max: int | None = None
    denied: tuple[str, ...] = ()


UNTERMED: Final = Terms()


@attrs.frozen(kw_only=True)
class HubRecord:
    """The consents about one peer; `id` is that of the peer. Times are seconds since the epoch.

    Attributes:
        peering_epoch: the peer's epoch in which the newest consent was given; in any other none holds.
        relaying, relayed: see `lifecycle.Side`.
        announced: whether we tell our peers of this hub, so that they dial it for us whatever our name leads to.
        server_name: under which name the peer is reached through us; empty while `relaying` was never permitted.
    """

    id: str
    version: int = 0
    account_id: str
    peering_epoch: int
    relaying: State = "never"
    relayed: State = "never"
    announced: bool = True
    server_name: str = ""
    terms: Terms = UNTERMED
    relaying_since: float | None = None
    relayed_since: float | None = None
    reason: str | None = None
    updated_at: float


@attrs.frozen(kw_only=True)
class Relayed:
    """What has been relayed for or through one peer. A crash loses what the last seconds have added.

    Attributes:
        connections: how many were relayed to the peer.
        refused: how many were not, by reason.
        bytes_to, bytes_from: what went to the peer and what came from it, as seen on the wire: ciphertext.
        handed_over: connections that the peer, as our hub, has handed to us.
        open_now: as of the newest report of the start `boot_epoch`.
    """

    connections: int = 0
    refused: Mapping[str, int] = attrs.field(factory=dict)
    bytes_to: int = 0
    bytes_from: int = 0
    handed_over: int = 0
    handed_over_failed: int = 0
    open_now: int = 0
    boot_epoch: int = 0
    last_at: float | None = None
    last_refused_at: float | None = None
    last_refused: str | None = None


KIND = Kind(
    name="hub_consent",
    record=HubRecord,
    columns={"account_id": "text", "relaying": "text", "relayed": "text", "server_name": "text", "open_peer_id": "text"},
    project=lambda record: {
        "account_id": record.account_id,
        "relaying": record.relaying,
        "relayed": record.relayed,
        "server_name": record.server_name or None,
        "open_peer_id": record.id if "permitted" in (record.relaying, record.relayed) else None,
    },
    unique={"server_name": "server_name_taken"},
    keys=lambda record: {"server_name": record.server_name if record.relaying == "permitted" else None},
    evidence=Relayed,
)


def to_json(record: HubRecord, relayed: Relayed | None, boot_epoch: int) -> dict[str, Any]:
    """The form of the operator surface."""
    counted = relayed or Relayed()
    return {
        "federation_peer_id": record.id,
        "relaying": record.relaying,
        "relaying_since": iso_or_none(record.relaying_since),
        "relayed": record.relayed,
        "relayed_since": iso_or_none(record.relayed_since),
        "announced": record.announced,
        "server_name": record.server_name or None,
        "connections_max": record.terms.connections_max,
        "rate_bytes": record.terms.rate_bytes,
        "new_connections_max": record.terms.new_connections_max,
        "sources": list(record.terms.sources),
        "denied": list(record.terms.denied),
        "reason": record.reason,
        "accounting": {
            "open": counted.open_now if counted.boot_epoch == boot_epoch else 0,
            "connections": counted.connections,
            "bytes_to": counted.bytes_to,
            "bytes_from": counted.bytes_from,
            "refused": dict(counted.refused),
            "last_at": iso_or_none(counted.last_at),
            "last_refused": counted.last_refused,
            "last_refused_at": iso_or_none(counted.last_refused_at),
            "handed_over": counted.handed_over,
            "handed_over_failed": counted.handed_over_failed,
        },
        "updated_at": iso(record.updated_at),
        "version": record.version,
    }


def never(peer_id: str, account_id: str, peering_epoch: int, wall: float) -> HubRecord:
    """What a peer without a row amounts to."""
    return HubRecord(id=peer_id, account_id=account_id, peering_epoch=peering_epoch, updated_at=wall)


def missing_setting(record: HubRecord, settings: Settings) -> str | None:
    """The setting without which a permission has no effect, if it is off."""
    if "permitted" not in (record.relaying, record.relayed):
        return None
    if not settings.federation.peer_channel:
        return "federation.channel.enabled"
    return "federation.hub.enabled" if record.relaying == "permitted" and not settings.federation.hub_enabled else None
