"""A bridge that is proposed together with its peer.

Lives here: what the proposal of a peer adds when it names a network. Must not live here: routes of bridges themselves (see `handlers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.bridge.messages import Create
from actors.bridge.record import KIND, BridgeRecord, to_json
from actors.peer.record import PeerRecord
from actors.resource.record import get
from runtime.actor import Ref
from runtime.errors import FaultError, OperatorFault
from runtime.ids import uuid7

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request


def own_network(door: Door, request: Request, network_id: str) -> None:
    """Refuse a network that the account has not, before anything is made.

    Raises:
        FaultError: `network_not_found`.
    """
    network = get(door.engine.directory, request.account_id, "SdwanNetwork", network_id)
    if network is None or not network.lives:
        raise FaultError(OperatorFault("network_not_found", "there is no such overlay network here", 422, {"field": "sdwan_network_id"}))


def propose_with(door: Door, request: Request, peer: PeerRecord, network_id: str, data: dict[str, Any]) -> None:
    """Propose the bridge of a peer that has just been proposed, and answer for both. The peer stands even if the bridge does not."""
    message = Create(account_id=request.account_id, by=request.by, federation_peer_id=peer.id, sdwan_network_id=network_id)

    def done(outcome: Any) -> None:
        if isinstance(outcome, BridgeRecord):
            data["bridge"] = to_json(outcome, peer)
        else:
            data["warnings"] = ["bridge_not_proposed"]
        request.ok(data, status=201)

    door.engine.ask(Ref(KIND.name, uuid7(request.wall, door.chance)), message, door.deadline_s, done)
