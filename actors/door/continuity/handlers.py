"""Frozen trust at the door: what is shown, and what operators decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from actors.continuity.messages import Decide
from actors.continuity.record import KIND, shown
from actors.door.request import Request
from actors.homecoming.record import unanswered
from runtime.actor import Ref

if TYPE_CHECKING:
    from actors.door.door import Door


def get_continuity(door: Door, request: Request) -> None:
    waiting = list(unanswered(request.account_id, door.engine.store.query))
    request.ok({**shown(door.continuity, door.settings.identity), "unanswered_peer_ids": waiting})


def unfreeze_trust(door: Door, request: Request) -> None:
    body = request.body
    message = Decide(
        by=request.by,
        decision=body["decision"],
        keep_peerings=bool(body.get("keep_peerings")),
        keep_grants=bool(body.get("keep_grants")),
        mark=request.mark,
    )
    ref = Ref(KIND.name, door.settings.identity.instance_id)
    door.relay(request, ref, message, lambda outcome: request.ok(shown(outcome.record, door.settings.identity)))


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {"get_continuity": get_continuity, "unfreeze_trust": unfreeze_trust}
