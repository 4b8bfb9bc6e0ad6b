"""Calls that came through a hub, at the door: what they may ask for, and what they prove."""

from __future__ import annotations

import json

import attrs
import pytest

from actors.door.call import Answer, Call, Source
from runtime.values import evolve
from sim.world import Host, World
from tests.support.grants import SEED_BODY, Peers, pair, source_of

SYSTEM = "/api/v1/system"
RESOURCES = f"{SYSTEM}/federation_api/resources/NodeModule"
ADDRESS = "203.0.113.7"


@attrs.frozen
class Door:
    """Platform `a` with a peer `b`, called on a connection of `b` that came by itself or through a hub."""

    world: World
    a: Host
    peers: Peers
    hub_id: str

    def call(self, method: str, path: str, *, relayed_by: str, token: str | None = None) -> Answer:
        source = evolve(source_of(self.peers.b, self.peers.a_at_b), address=ADDRESS, relayed_by=relayed_by, verified={})
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        answers: list[Answer] = []
        self.a.handle(Call(method, path, {}, headers, b"", source), answers.append)
        assert self.world.run_until(lambda: bool(answers), 60.0)
        return answers[0]

    def grant(self, subject: str, **axes: object) -> str:
        made = self.peers.ask(
            "POST", f"/api/v1/system/platform/peers/{self.peers.b_at_a}/grants", {**SEED_BODY, "remote_subject": subject, **axes}
        )
        assert made.status == 201, made.body
        return str(made.data["bearer_token"])


@pytest.fixture(scope="module")
def door() -> Door:
    world = World("relayed")
    a, b, h = (world.platform(name, peer_channel=True).sign_in() for name in "abh")
    hub_id = pair(world, a, h).b_at_a
    used = a.call("POST", f"{SYSTEM}/platform/peers/{hub_id}/hub/use", {})
    assert used is not None
    assert used.status == 200, used.body
    return Door(world, a, pair(world, a, b), hub_id)


def test_a_grant_bound_to_addresses_admits_no_relayed_call_whatever_the_hub_says(door: Door) -> None:
    bound = door.grant("bound", source_cidrs=["203.0.113.0/24"])
    assert door.call("GET", RESOURCES, relayed_by="", token=bound).status == 200
    refused = door.call("GET", RESOURCES, relayed_by=door.hub_id, token=bound)
    assert refused.status == 403
    assert refused.body is not None
    assert (refused.body["code"], refused.body["details"]) == ("axis_denied", {"axis": "source_cidrs", "supplied": None})


def test_a_grant_without_addresses_admits_a_relayed_call(door: Door) -> None:
    anywhere = door.grant("anywhere", source_cidrs=[])
    assert door.call("GET", RESOURCES, relayed_by=door.hub_id, token=anywhere).status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", f"{SYSTEM}/platform/peers"), ("POST", "/api/v1/auth/login"), ("GET", f"{SYSTEM}/platform/hub")]
)
def test_only_the_federation_api_is_served_through_a_hub(door: Door, method: str, path: str) -> None:
    served = door.call(method, path, relayed_by="", token=door.a.token)
    refused = door.call(method, path, relayed_by=door.hub_id, token=door.a.token)
    assert served.status != 404
    assert (refused.status, json.loads(json.dumps(refused.body))["code"]) == (404, "not_found")


def test_events_are_not_followed_through_a_hub(door: Door) -> None:
    source = Source(ADDRESS, "tls", relayed_by=door.hub_id)
    call = Call("GET", "/api/v1/events", {}, {"authorization": f"Bearer {door.a.token}"}, b"", source)
    refused = door.a.door.authorize_stream(call)
    assert isinstance(refused, Answer)
    assert refused.status == 404
    assert not isinstance(
        door.a.door.authorize_stream(Call("GET", "/api/v1/events", {}, call.headers, b"", evolve(source, relayed_by=""))), Answer
    )


def test_nothing_is_served_through_a_hub_that_is_not_chosen_and_the_connection_closes(door: Door) -> None:
    anywhere = door.grant("nowhere", source_cidrs=[])
    for hub_id in (door.peers.b_at_a, "0190c0de-dead-7000-8000-000000000404"):
        refused = door.call("GET", RESOURCES, relayed_by=hub_id, token=anywhere)
        assert (refused.status, refused.close) == (404, True)
