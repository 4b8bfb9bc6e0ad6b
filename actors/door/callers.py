"""Which peer calls the federation API: admission, what it costs a stranger, and what it tells the peer.

Lives here: the one way from a connection to an admitted caller, for every route of the federation API. Must not live here: the checks of
the certificate themselves (`actors.door.admission`), or what a grant allows (`actors.door.grants.authorise`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.door.admission import Admitted, admit
from actors.door.proxies import CLAIMS, INSTANCE, contradiction
from actors.door.rate_limits import source_key
from actors.door.request import ClosingFaultError, Request
from actors.grant.actor import BOOK
from actors.grant.messages import NoteSpoof
from actors.peer.lifecycle import Inbound
from actors.peer.messages import AnchorUsed
from actors.peer.record import KIND, PeerRecord
from actors.rotation.record import child_of_ours
from runtime.actor import Ref
from runtime.errors import Fault, FaultError

if TYPE_CHECKING:
    from actors.door.door import Door


def recognised_caller(door: Door, request: Request, family: Inbound) -> Admitted:
    """The peer that calls, before anything that it may or may not do.

    A peer that proves itself by an anchor that is still to come shows that its new root is in use, and its row hears so.

    Raises:
        FaultError: the refusal of the first check that fails (federation 8.6). Sources that keep failing lose their connection.
    """
    source = request.call.source
    admitted = admit(door.engine.directory, source, family, request.wall)
    if isinstance(admitted, Fault):
        limit = door.settings.federation.rate_limits["unknown_certificate_per_source"]
        wait_s = door.rate_limits.take(f"unknown_certificate_per_source {source_key(source.address)}", limit, request.now)
        if wait_s is not None:
            raise ClosingFaultError(door.rate_limited(wait_s))
        raise FaultError(admitted)
    fingerprint, record = admitted.anchor_fingerprint, admitted.record
    named = request.call.headers.get(INSTANCE) if source.proxy else None
    if named is not None and named != record.remote_instance_id:
        raise FaultError(contradiction(INSTANCE, named))
    unheard = child_of_ours(record) and (record.inbound_root or door.settings.identity.ca_fingerprint) != fingerprint
    if unheard or any(anchor.state == "next" and anchor.fingerprint == fingerprint for anchor in record.trusted_anchors):
        door.engine.tell(Ref(KIND.name, admitted.record.id), AnchorUsed(fingerprint))
    return admitted


def admitted_caller(door: Door, request: Request, limit: str, family: Inbound = "heartbeat") -> Admitted:
    """The peer that calls, after its rate limit `limit`.

    Raises:
        FaultError: the refusal of `recognised_caller`, or `rate_limited`.
    """
    admitted = recognised_caller(door, request, family)
    door.limit(limit, admitted.record.id, request.now)
    notice_claims(door, request, admitted.record)
    return admitted


def notice_claims(door: Door, request: Request, peer: PeerRecord) -> None:
    """Have it told that a peer sent headers which only a trusted proxy may send. A trusted proxy's own are no claim."""
    source, headers = request.call.source, request.call.headers
    claimed = () if source.proxy else tuple(name for name in CLAIMS if name in headers)
    if claimed:
        door.engine.tell(Ref(BOOK, peer.id), NoteSpoof(peer.account_id, claimed, source_key(source.address)))
