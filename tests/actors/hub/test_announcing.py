"""What a platform behind a hub tells its peers of itself, and what they make of it: in heartbeats, answers to them, and invitations."""

from __future__ import annotations

from typing import Any

import pytest

from actors.hub.lifecycle import Trigger
from actors.hub.messages import Consent
from actors.hub.record import KIND
from actors.peer import invitation as invitations
from actors.peer.messages import AcceptRemote, Minted, Propose, ResumePeering, Revoke, Suspend
from actors.peer.roles import Pairing
from actors.ports import RemoteRequest
from runtime.actor import Ref
from tests.support.federation import ACCOUNT, OPERATOR, Network, Pair, Platform, pair

OWN = "https://a.example"
HUB = "https://b.example"


@pytest.fixture
def two() -> Pair:
    """`a` may use its peer `b` as a hub."""
    joined = pair(peer_channel=True)
    joined.connect()
    return joined


def use(platform: Platform, hub_id: str, trigger: Trigger = "permit", **other: Any) -> Any:
    outcomes: list[Any] = []
    message = Consent(account_id=ACCOUNT, by=OPERATOR, side="relayed", trigger=trigger, **other)
    platform.engine.ask(Ref(KIND.name, hub_id), message, 60.0, outcomes.append)
    platform.network.run()
    return outcomes[0]


def ways(two: Pair) -> list[tuple[str, tuple[str, ...]]]:
    """Where `b` knows `a` to be, after the next heartbeats."""
    two.network.advance(120.0)
    return [(endpoint.url, endpoint.via) for endpoint in two.b.record(two.at_b.peer_id).endpoints]


def test_peers_are_told_of_a_hub_with_the_next_heartbeat_and_that_it_is_left_with_the_one_after(two: Pair) -> None:
    assert ways(two) == []
    assert use(two.a, two.at_a.peer_id).announced is True
    assert ways(two) == [(OWN, (HUB,))]
    use(two.a, two.at_a.peer_id, "withdraw")
    assert ways(two) == []


def test_a_hub_that_is_not_to_be_announced_is_not_and_saying_so_later_takes_it_back(two: Pair) -> None:
    use(two.a, two.at_a.peer_id, announced=False)
    assert ways(two) == []
    use(two.a, two.at_a.peer_id)
    assert ways(two) == [(OWN, (HUB,))]
    use(two.a, two.at_a.peer_id, announced=False)
    assert ways(two) == []


def test_a_hub_whose_peering_is_paused_or_over_is_no_way_to_us(two: Pair) -> None:
    use(two.a, two.at_a.peer_id)
    assert invited(two) == (HUB,)
    two.a.told(two.at_a.peer_id, Suspend(OPERATOR, None))
    assert invited(two) == ()
    two.a.told(two.at_a.peer_id, ResumePeering(OPERATOR, None))
    two.network.advance(120.0)
    assert invited(two) == (HUB,)
    two.a.told(two.at_a.peer_id, Revoke(OPERATOR, "over"))
    assert invited(two) == ()


def invited(two: Pair) -> tuple[str, ...]:
    """The hubs that an invitation of `a` names now."""
    two.network.advance(1.0)
    url = f"https://c{two.network.clock.wall():.0f}.example"
    propose = Propose(account_id=ACCOUNT, by=OPERATOR, url=url, pairing=Pairing("symmetric", "out_of_band"), token_ttl_s=3600)
    made = two.a.told(two.a.chance.stream("ids").randbytes(8).hex(), propose)
    assert isinstance(made, Minted), made
    found = invitations.decode(made.invitation.reveal())
    assert isinstance(found, invitations.Invitation)
    return found.via


def test_advertised_endpoints_stay_beside_the_hub_and_their_own_url_is_said_once() -> None:
    declared = ({"url": OWN, "scope": "wan", "priority": 7}, {"url": "https://lan.example", "scope": "lan", "priority": 1})
    two = pair(peer_channel=True, advertised_endpoints=declared)
    two.connect()
    use(two.a, two.at_a.peer_id)
    assert ways(two) == [("https://lan.example", ()), (OWN, (HUB,))]
    assert [endpoint.priority for endpoint in two.b.record(two.at_b.peer_id).endpoints] == [1, 7]


def test_who_accepts_an_invitation_dials_the_hubs_in_it_before_the_name_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[RemoteRequest] = []
    monkeypatch.setattr(Platform, "_send", lambda platform, request, done: sent.append(request))
    network = Network()
    a, b = network.platform("a", peer_channel=True), network.platform("b", peer_channel=True)
    made = a.propose(b)
    at_b = b.propose(a).peer_id
    b.ask(at_b, AcceptRemote(by=OPERATOR, token=made.token, via=("https://h.example", "https://k.example:8443")), 1.0)
    network.run()
    assert sent[0].urls == (f"{OWN} via https://h.example", f"{OWN} via https://k.example:8443", OWN)
    assert sent[0].expectation.ca_pin is not None
