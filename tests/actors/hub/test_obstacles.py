"""What is shown to be in the way of a permission: each obstacle by its own word, all at once, and none where nothing is permitted."""

from __future__ import annotations

from typing import Any

import pytest

from actors.hub.record import HubRecord
from actors.hub.routing import obstacles
from actors.peer.record import PeerEvidence
from actors.settings import FederationSettings
from runtime.values import evolve
from tests.actors.test_governance_scanner import SETTINGS, WALL, peer

ON = evolve(SETTINGS, federation=FederationSettings(peer_channel=True, hub_enabled=True))
PEER = evolve(peer(), remote_instance_url="https://b.example")
OPEN = PeerEvidence(channel_since=WALL - 5.0, channel_epoch=ON.identity.boot_epoch)
PERMITTED = HubRecord(
    id=PEER.id, account_id="a", peering_epoch=PEER.peering_epoch, relaying="permitted", server_name="b.example", updated_at=0.0
)


def found(record: HubRecord = PERMITTED, **changes: Any) -> tuple[str, ...]:
    facts: dict[str, Any] = {"peer": PEER, "evidence": OPEN, "settings": ON, "wall": WALL, **changes}
    return obstacles(record, **facts)


def test_nothing_is_in_the_way_of_what_works_or_was_never_permitted() -> None:
    assert found() == ()
    assert found(evolve(PERMITTED, relaying="withdrawn"), peer=None, evidence=None, settings=SETTINGS) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": evolve(ON, federation=FederationSettings(peer_channel=True))}, ("federation.hub.enabled",)),
        ({"peer": evolve(PEER, status="suspended")}, ("peer_not_in_force",)),
        ({"peer": evolve(PEER, peering_epoch=PEER.peering_epoch + 1)}, ("peer_not_in_force",)),
        ({"peer": evolve(PEER, remote_instance_url="https://other.example")}, ("name_changed",)),
        ({"evidence": None}, ("no_channel",)),
        ({"evidence": evolve(OPEN, channel_epoch=ON.identity.boot_epoch - 1)}, ("no_channel",)),
        ({"peer": None, "evidence": None}, ("peer_not_in_force", "no_channel")),
    ],
)
def test_each_obstacle_has_its_word(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    assert found(**changes) == words


def test_whoever_is_behind_a_hub_needs_no_setting_of_a_hub_and_no_name_of_it() -> None:
    behind = evolve(PERMITTED, relaying="never", relayed="permitted", server_name="")
    assert found(behind, settings=evolve(ON, federation=FederationSettings(peer_channel=True))) == ()
    assert found(behind, evidence=None) == ("no_channel",)
