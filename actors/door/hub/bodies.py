"""Bodies and answers of the routes of the hub."""

from __future__ import annotations

import ipaddress
from typing import Final

from actors.door.bodies import REASON_CHARS_MAX
from actors.door.shapes import Boolean, Choice, Field, FreeObject, Identifier, Instant, Integer, ListOf, Object, Parsed, Text
from actors.hub.lifecycle import STATES
from actors.limits import (
    HUB_CONNECTIONS_MAX,
    HUB_NEW_CONNECTIONS_MAX,
    HUB_RATE_BYTES_MAX,
    HUB_RATE_BYTES_MIN,
    HUB_SOURCES_MAX,
    RELAY_TOKEN_CHARS,
)
from actors.problems import Problem
from actors.urls import HOST_CHARS_MAX

_ADDRESS_CHARS_MAX: Final = 45
_REASON: Final = Field(
    "reason", Text(chars_min=1, chars_max=REASON_CHARS_MAX, trim=True), description="Kept with the consent and the peer's audit trail."
)


def _networks(value: object, problems: list[Problem], field: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        problems.append(Problem(field, "invalid_network", "must be an array of networks"))
        return ()
    if len(value) > HUB_SOURCES_MAX:
        problems.append(Problem(field, "invalid_network", f"takes at most {HUB_SOURCES_MAX} entries"))
        return ()
    found: set[str] = set()
    for index, entry in enumerate(value):
        try:
            if not isinstance(entry, str) or "%" in entry:
                raise ValueError
            found.add(str(ipaddress.ip_network(entry)))
        except ValueError:
            message = "must be an address, or a network such as 192.0.2.0/24 without bits behind the mask"
            problems.append(Problem(f"{field}[{index}]", "invalid_network", message))
    return tuple(sorted(found))


PERMIT: Final = Object(
    (
        Field(
            "connections_max",
            Integer(1, HUB_CONNECTIONS_MAX),
            description="Relayed connections at a time, within `federation.hub.connections_per_peer`.",
        ),
        Field(
            "new_connections_max",
            Integer(1, HUB_NEW_CONNECTIONS_MAX),
            description="Relayed connections that begin within a minute, within `federation.hub.new_connections_per_peer`.",
        ),
        Field(
            "rate_bytes",
            Integer(HUB_RATE_BYTES_MIN, HUB_RATE_BYTES_MAX),
            description="Bytes per second, both directions together, in place of `federation.hub.rate_bytes_per_peer`.",
        ),
        Field(
            "sources",
            Parsed(_networks, ListOf(Text(format="cidr"), HUB_SOURCES_MAX)),
            code="invalid_network",
            status=422,
            description="Networks from which connections to the peer are relayed; absent or empty: from everywhere.",
        ),
        Field(
            "denied",
            Parsed(_networks, ListOf(Text(format="cidr"), HUB_SOURCES_MAX)),
            code="invalid_network",
            status=422,
            description="Networks from which none are relayed, whatever `sources` says.",
        ),
        _REASON,
    ),
    name="PermitRelayingRequest",
)
USE: Final = Object(
    (
        Field(
            "announce", Boolean(), default=True, description="Tell our peers to dial this hub for us, so that our name need not lead to it."
        ),
        _REASON,
    ),
    name="UseHubRequest",
)
STEP: Final = Object((_REASON,), name="HubStepRequest")

_STATE: Final = Choice(STATES)
ACCOUNTING: Final = Object(
    (
        Field("open", Integer(), required=True, description="Relayed connections that are open now, a few seconds ago."),
        Field("connections", Integer(), required=True, description="Connections relayed to the peer."),
        Field("bytes_to", Integer(), required=True, description="Ciphertext relayed to the peer."),
        Field("bytes_from", Integer(), required=True, description="Ciphertext relayed from the peer."),
        Field("refused", FreeObject(), required=True, description="Connections that were not relayed, by reason."),
        Field("last_at", Instant(), nullable=True),
        Field("last_refused", Text(), nullable=True),
        Field("last_refused_at", Instant(), nullable=True),
        Field("handed_over", Integer(), required=True, description="Connections that the peer, as our hub, has handed to us."),
        Field("handed_over_failed", Integer(), required=True, description="Connections that could not be fetched from it."),
    ),
    name="RelayedAccounting",
    unknown="ignore",
)
CONSENTS: Final = Object(
    (
        Field("federation_peer_id", Identifier(), required=True),
        Field("relaying", _STATE, required=True, description="Whether we relay to the peer."),
        Field("relaying_since", Instant(), nullable=True),
        Field("relayed", _STATE, required=True, description="Whether the peer, as our hub, may hand connections to us."),
        Field("relayed_since", Instant(), nullable=True),
        Field("announced", Boolean(), required=True, description="Whether our peers are told of this hub, while it relays to us."),
        Field("server_name", Text(), nullable=True, description="The name under which the peer is reached through us."),
        Field("connections_max", Integer(), nullable=True),
        Field("new_connections_max", Integer(), nullable=True),
        Field("rate_bytes", Integer(), nullable=True),
        Field("sources", ListOf(Text(format="cidr"), HUB_SOURCES_MAX), required=True),
        Field("denied", ListOf(Text(format="cidr"), HUB_SOURCES_MAX), required=True),
        Field("reason", Text(), nullable=True),
        Field(
            "in_the_way",
            ListOf(Text(), 4),
            description="What keeps a permission from having effect, as seen from here: a setting, `peer_not_in_force`, `name_changed`, "
            "`no_channel`. Not in the answers of steps.",
        ),
        Field("accounting", ACCOUNTING, required=True),
        Field("updated_at", Instant(), required=True),
        Field("version", Integer(), required=True),
    ),
    name="HubConsents",
    unknown="ignore",
)
ONE: Final = Object((Field("hub", CONSENTS, required=True),), name="OneHub", unknown="ignore")

LIMIT_NAMES: Final = (
    "connections", "connections_per_peer", "connections_per_source", "new_connections_per_peer", "new_connections_per_source",
    "rate_bytes", "rate_bytes_per_peer",
)  # fmt: skip
"""The limits of a hub, as the settings under `federation.hub` call them."""

LIMITS: Final = Object(
    tuple(Field(name, Integer(), required=True) for name in LIMIT_NAMES),
    name="HubLimits",
    unknown="ignore",
)
OVERVIEW: Final = Object(
    (
        Field("enabled", Boolean(), required=True, description="Whether this platform relays to others."),
        Field("own_name", Text(), required=True, description="The server name that is never relayed."),
        Field("limits", LIMITS, required=True),
        Field("denied", ListOf(Text(format="cidr"), HUB_SOURCES_MAX), required=True, description="Networks from which nothing is relayed."),
        Field("peers", ListOf(CONSENTS, 10_000), required=True, description="Peers with a consent on either side."),
        Field("truncated", Boolean(), required=True, description="Whether there are more peers than are listed."),
    ),
    name="HubOverview",
    unknown="ignore",
)

RELAYED: Final = Object(
    (
        Field(
            "token", Text(chars_min=RELAY_TOKEN_CHARS, chars_max=RELAY_TOKEN_CHARS, pattern="[A-Za-z0-9_-]+", secret=True), required=True
        ),
        Field("server_name", Text(chars_min=1, chars_max=HOST_CHARS_MAX), required=True),
        Field("client_address", Text(chars_min=1, chars_max=_ADDRESS_CHARS_MAX), required=True),
    ),
    name="RelayedRequest",
    unknown="ignore",
)
RELAYED_HEARD: Final = Object((Field("accepted", Boolean(), required=True),), name="RelayedHeard", unknown="ignore")
