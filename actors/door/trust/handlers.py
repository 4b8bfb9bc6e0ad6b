"""Certificates and anchors at the door: from bodies to the messages of the actors that own them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.door.callers import admitted_caller
from actors.door.peers import own_row, relay_shown
from actors.door.request import Request
from actors.door.trust.bodies import contradictions
from actors.limits import DAY_S, ROTATION_PEERS_ANSWERED_MAX, ROTATION_PEERS_SHOWN_MAX
from actors.peer.messages import ApproveAnchor, Certify, RenewNow, RotateNow
from actors.peer.record import KIND
from actors.problems import refusal
from actors.rotation.messages import Finish, Rotate
from actors.rotation.record import KIND as ROTATION
from actors.rotation.record import RotationRecord
from actors.rotation.shown import shown
from runtime.actor import Ref
from runtime.errors import FaultError
from runtime.store.port import Condition, Query

if TYPE_CHECKING:
    from actors.door.door import Door


def renew_peer_trust(door: Door, request: Request) -> None:
    row = own_row(door, request)
    relay_shown(door, request, row.record.id, RenewNow(request.by, request.mark))


def federation_certificate(door: Door, request: Request) -> None:
    """Sign a child's next key; the certificate that it shows now says whose child it is."""
    admitted = admitted_caller(door, request, "certificate_per_peer")
    body = door.read_body(request)
    door.relay(request, Ref(KIND.name, admitted.record.id), Certify(body["csr_pem"], body.get("issuer")), request.ok)


def approve_peer_anchor(door: Door, request: Request) -> None:
    row = own_row(door, request)
    relay_shown(door, request, row.record.id, ApproveAnchor(request.by, request.body["fingerprint"], request.mark))


def rotate_trust(door: Door, request: Request) -> None:
    body = request.body
    problems = list(contradictions(body))
    if problems:
        raise FaultError(refusal(problems))
    days = body.get("overlap_days") or door.settings.federation.anchor_overlap_s / DAY_S
    message = Rotate(
        by=request.by, account_id=request.account_id, overlap_days=days, force=bool(body.get("force")),
        keep_tokens=bool(body.get("keep_tokens")), reason=body.get("reason"), mark=request.mark,
    )  # fmt: skip
    door.relay(request, _rotation(door), message, _rotating(door, request, 202))


def finish_trust_rotation(door: Door, request: Request) -> None:
    body = request.body
    message = Finish(
        by=request.by, account_id=request.account_id, give_up=tuple(body.get("give_up") or ()), force=bool(body.get("force")),
        mark=request.mark,
    )  # fmt: skip
    door.relay(request, _rotation(door), message, _rotating(door, request, 200))


def rotate_peer_trust(door: Door, request: Request) -> None:
    row = own_row(door, request)
    relay_shown(door, request, row.record.id, RotateNow(request.by, request.mark))


def get_trust_rotation(door: Door, request: Request) -> None:
    row = door.engine.directory.row(ROTATION.name, door.settings.identity.instance_id)
    request.ok({"rotation": _shown(door, request, row.record if row is not None else None, ROTATION_PEERS_SHOWN_MAX)})


def _rotation(door: Door) -> Ref:
    return Ref(ROTATION.name, door.settings.identity.instance_id)


def _rotating(door: Door, request: Request, status: int) -> Callable[[Any], None]:
    return lambda outcome: request.ok({"rotation": _shown(door, request, outcome.record, ROTATION_PEERS_ANSWERED_MAX)}, status=status)


def _shown(door: Door, request: Request, record: RotationRecord | None, named_max: int) -> dict[str, Any]:
    rows = door.engine.store.query(Query(KIND.name, ((Condition("status", "!=", "revoked"),),)))
    return shown(record, door.settings, rows, request.account_id, request.wall, named_max=named_max)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "renew_peer_trust": renew_peer_trust,
    "approve_peer_anchor": approve_peer_anchor,
    "rotate_peer_trust": rotate_peer_trust,
    "rotate_trust": rotate_trust,
    "finish_trust_rotation": finish_trust_rotation,
    "get_trust_rotation": get_trust_rotation,
    "federation_certificate": federation_certificate,
}
