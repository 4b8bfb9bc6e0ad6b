"""What peers bring for mirrors: one record of theirs, under a grant of ours with the scope `write`.

Lives here: the one route. Everything in the body is hostile: its size is bounded, its attributes pass the allowlist of the kind, it lands
on the caller's own shelf in the account that granted. Must not live here: the shelf (`actors.mirror`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors import residency
from actors.door.grants.authorise import authorise
from actors.door.resources.federation import ID_INVALID, readable
from actors.mirror.messages import Take, Taken
from actors.mirror.reading import Told, attributes_of
from actors.mirror.record import SHELF, Moment
from actors.problems import Problem, refusal
from runtime.actor import Ref
from runtime.errors import FaultError
from runtime.ids import is_uuid

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request


def federation_push_mirror(door: Door, request: Request) -> None:
    id = request.parameters["id"]
    kind = readable(door, request, resource_id=id, scope="write")
    allowed = authorise(door, request, kind=kind.kind, resource_id=id, scope="write")
    if not is_uuid(id):
        raise FaultError(ID_INVALID)
    body = door.read_body(request)
    federation = door.settings.federation
    outcome = residency.judge(federation.residency_mode, federation.residency_unknown, federation.data_residency, allowed.peer)
    fault = residency.refusal(outcome, acknowledged=body["acknowledge_residency"])
    if fault is not None:
        raise FaultError(fault)
    attributes: Mapping[str, Any] | None = None
    if not body["deleted"]:
        problems: list[Problem] = []
        attributes = attributes_of(kind, body["attributes"], problems, "attributes")
        if attributes is None:
            raise FaultError(refusal(problems))
    told = Told(origin_id=id, etag=body["etag"], moment=Moment(body["epoch"], body["updated_at"]), attributes=attributes)
    message = Take(
        account_id=allowed.peer.account_id,
        peering_epoch=allowed.peer.peering_epoch,
        kind=kind.kind,
        grant_id=allowed.grant.id,
        told=told,
    )

    def answered(taken: Taken) -> None:
        request.ok({"outcome": taken.outcome})

    door.relay(request, Ref(SHELF.name, allowed.peer.id), message, answered)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {"federation_push_mirror": federation_push_mirror}
