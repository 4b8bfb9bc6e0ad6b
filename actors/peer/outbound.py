"""Calls to a peer by others than the peer's own actor: what such a request presents, expects and where it goes. Pure.

Lives here: the making of the request, and the reading of refusals in its answer. Must not live here: heartbeats and accepts, which the peer
actor makes itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from actors.peer import endpoints
from actors.peer.lifecycle import STATUSES, Outbound
from actors.peer.record import PeerEvidence, PeerRecord
from actors.peer.steps import NO_IDENTITY, call_refusal, reachable_identity
from actors.ports import RemoteRequest
from actors.settings import Settings
from runtime.errors import Fault, OperatorFault


def exchange(
    record: PeerRecord,
    evidence: PeerEvidence | None,
    settings: Settings,
    wall: float,
    method: Literal["GET", "POST", "PUT", "DELETE"],
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    family: Outbound = "exchange",
) -> RemoteRequest | Fault:
    """A call of a family to a peer, an ordinary one unless told otherwise, or why none may leave now."""
    rule = STATUSES[record.status]
    if family not in rule.outbound:
        return OperatorFault(
            rule.outbound_refusal, f"no such call leaves while the peer is {record.status}", 409, {"status": record.status}
        )
    refusal = call_refusal(record, wall)
    known = reachable_identity(record)
    if refusal is not None or known is None:
        return refusal or NO_IDENTITY
    seen = evidence.endpoints if evidence is not None else ()
    listed = endpoints.candidates(endpoints.replace(seen, record.endpoints), record.remote_instance_url)
    return RemoteRequest(
        peer_id=record.id,
        method=method,
        path=path,
        body=body,
        urls=tuple(target.url for target in listed if target.cidr_hint is None),
        identity=known[0],
        expectation=known[1],
        timeout_s=settings.federation.request_timeout_s,
    )
