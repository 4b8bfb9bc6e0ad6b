"""Certificates and anchors at the door: from bodies to the messages of the actors that own them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from actors.door.federation import admitted_peer
from actors.door.peers import own_row, relay_shown
from actors.door.request import Request
from actors.peer.messages import Certify, RenewNow
from actors.peer.record import KIND
from runtime.actor import Ref

if TYPE_CHECKING:
    from actors.door.door import Door


def renew_peer_trust(door: Door, request: Request) -> None:
    row = own_row(door, request)
    relay_shown(door, request, row.record.id, RenewNow(request.by, request.mark))


def federation_certificate(door: Door, request: Request) -> None:
    """Sign a child's next key; the certificate that it shows now says whose child it is."""
    admitted = admitted_peer(door, request, "certificate_per_peer")
    if admitted is None:
        return
    body = door.read_body(request)
    door.relay(request, Ref(KIND.name, admitted.record.id), Certify(body["csr_pem"]), request.ok)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "renew_peer_trust": renew_peer_trust,
    "federation_certificate": federation_certificate,
}
