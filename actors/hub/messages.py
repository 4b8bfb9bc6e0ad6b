"""What may be said to the consents of one peer; every answer is the record or a fault."""

from __future__ import annotations

from collections.abc import Mapping

from actors.hub.lifecycle import Side, Trigger
from actors.hub.record import UNTERMED, Terms
from actors.idempotency.record import Mark
from runtime.actor import CallResult
from runtime.secret import Secret
from runtime.values import Value


class Consent(Value, frozen=True, kw_only=True):
    """An operator's step on one side. `terms` belong to `relaying` and replace the former ones; `announced` belongs to `relayed`.

    Faults: `peer_not_ready`, `hub_disabled`, `channel_disabled`, `server_name_required`, `server_name_own`, `server_name_taken`,
    `invalid_transition`, `version_conflict`.
    """

    account_id: str
    by: str | None
    side: Side
    trigger: Trigger
    terms: Terms = UNTERMED
    announced: bool = True
    reason: str | None = None
    expected_version: int | None = None
    mark: Mark | None = None


class HandOver(Value, frozen=True, kw_only=True):
    """The peer, as our hub, has a connection for us: fetch it with `token`. Answer: True. Faults: `relay_not_permitted`, and those
    of a call to the peer.

    `client_address` is what the hub says; nothing may be allowed because of it.
    """

    token: Secret
    client_address: str


class Fetched(CallResult, frozen=True):
    """What became of fetching a connection from our hub."""


class Counted(Value, frozen=True, kw_only=True):
    """What was relayed to the peer since the last report; `open_now` is how many connections are open."""

    connections: int
    refused: Mapping[str, int]
    bytes_to: int
    bytes_from: int
    open_now: int
