"""Bridges in a running platform: operators' steps, and what becomes of bridges with their peer."""

from __future__ import annotations

from typing import Any

import pytest

from actors.bridge.messages import Create, Step, Update
from actors.bridge.record import KIND, BridgeRecord, active_bridge, effective_state
from actors.peer.messages import ResumePeering, Revoke, Suspend
from actors.resource.catalogue import KIND as CATALOGUE
from actors.resource.messages import Delete, Draft, Write, Written
from runtime.actor import Ref
from runtime.errors import Fault
from tests.support.federation import ACCOUNT, OPERATOR, Pair, Platform, pair

FOREIGN = "0190c0de-0000-7000-8000-00000000ffff"
BRIDGE = "0190c0de-0000-7000-8000-00000000b001"


def told(platform: Platform, ref: Ref, message: Any) -> Any:
    outcomes: list[Any] = []
    platform.engine.ask(ref, message, 60.0, outcomes.append)
    platform.network.run()
    assert len(outcomes) == 1
    return outcomes[0]


def a_network(platform: Platform, slug: str = "backbone") -> str:
    draft = Draft(path="resources[0]", kind="SdwanNetwork", attributes={"name": "Backbone", "slug": slug})
    written = told(platform, Ref(CATALOGUE.name, ACCOUNT), Write(account_id=ACCOUNT, by=OPERATOR, drafts=(draft,)))
    assert isinstance(written, Written), written
    return written.records[0].id


@pytest.fixture
def two() -> Pair:
    joined = pair()
    joined.connect()
    return joined


class Bridged:
    """A pair with a network at A, and steps of one bridge."""

    def __init__(self, two: Pair) -> None:
        self.two = two
        self.peer_id = two.at_a.peer_id
        self.network_id = a_network(two.a)

    def create(self, id: str = BRIDGE, **changes: Any) -> Any:
        facts = {"account_id": ACCOUNT, "by": OPERATOR, "federation_peer_id": self.peer_id, "sdwan_network_id": self.network_id}
        return told(self.two.a, Ref(KIND.name, id), Create(**{**facts, **changes}))

    def step(self, trigger: Any, id: str = BRIDGE, reason: str | None = None) -> Any:
        return told(self.two.a, Ref(KIND.name, id), Step(by=OPERATOR, trigger=trigger, reason=reason))

    def record(self, id: str = BRIDGE) -> BridgeRecord:
        row = self.two.a.store.load(KIND.name, id)
        assert row is not None
        record: BridgeRecord = row.record
        return record

    @property
    def open(self) -> bool:
        return active_bridge(self.two.a.engine.directory, self.peer_id, self.network_id) is not None

    @property
    def amounts_to(self) -> str:
        return effective_state(self.record(), self.two.a.record(self.peer_id))


@pytest.fixture
def bridged(two: Pair) -> Bridged:
    return Bridged(two)


def test_a_bridge_opens_closes_and_opens_again_on_its_operators_word(bridged: Bridged) -> None:
    assert isinstance(bridged.create(), BridgeRecord)
    assert not bridged.open
    for trigger, open in (("activate", True), ("suspend", False), ("resume", True), ("revoke", False)):
        assert isinstance(bridged.step(trigger, reason="because"), BridgeRecord)
        assert bridged.open is open
    assert bridged.record().revocation_reason == "because"
    kinds = ["federation.bridge." + word for word in ("proposed", "activated", "suspended", "activated", "revoked")]
    assert [kind for kind in bridged.two.a.events() if kind.startswith("federation.bridge.")] == kinds
    actions = [entry.action for entry in bridged.two.a.chain(bridged.peer_id) if entry.action.startswith("bridge.")]
    assert actions == [kind.removeprefix("federation.") for kind in kinds]


@pytest.mark.parametrize("trigger", ["suspend", "resume"])
def test_a_step_that_the_table_has_not_is_refused_and_changes_nothing(bridged: Bridged, trigger: str) -> None:
    bridged.create()
    before = bridged.record()
    refused = bridged.step(trigger)
    assert isinstance(refused, Fault)
    assert (refused.code, refused.status, refused.details["allowed"]) == ("invalid_transition", 422, ["active", "revoked"])
    assert bridged.record() == before


def test_one_bridge_for_a_pair_until_it_is_revoked(bridged: Bridged) -> None:
    other = BRIDGE.replace("b001", "b002")
    bridged.create()
    assert bridged.create(other).code == "bridge_exists"
    bridged.step("revoke")
    assert isinstance(bridged.create(other), BridgeRecord)


def test_peer_and_network_must_be_of_the_account(bridged: Bridged) -> None:
    assert bridged.create(federation_peer_id=FOREIGN).code == "peer_not_found"
    assert bridged.create(account_id=FOREIGN).code == "peer_not_found"
    assert bridged.create(sdwan_network_id=FOREIGN).code == "network_not_found"
    delete = Delete(account_id=ACCOUNT, by=OPERATOR, kind="SdwanNetwork", id=bridged.network_id)
    told(bridged.two.a, Ref(CATALOGUE.name, ACCOUNT), delete)
    assert bridged.create().code == "network_not_found"


def test_a_suspended_peer_takes_its_bridges_along_and_gives_back_exactly_those(bridged: Bridged) -> None:
    other_network = a_network(bridged.two.a, "storage")
    paused = BRIDGE.replace("b001", "b002")
    bridged.create()
    bridged.create(paused, sdwan_network_id=other_network)
    for id in (BRIDGE, paused):
        bridged.step("activate", id)
    bridged.step("suspend", paused)
    bridged.two.a.told(bridged.peer_id, Suspend(OPERATOR, None))
    assert (bridged.open, bridged.amounts_to, bridged.record().state) == (False, "suspended", "active")
    assert bridged.step("resume", paused).code == "peer_not_ready"
    bridged.two.a.told(bridged.peer_id, ResumePeering(OPERATOR))
    bridged.two.network.advance(5.0)
    assert bridged.open
    assert bridged.record(paused).state == "suspended"


def test_a_revoked_peer_ends_its_bridges_at_once_and_the_rows_say_so_afterwards(bridged: Bridged) -> None:
    bridged.create()
    bridged.step("activate")
    bridged.two.a.told(bridged.peer_id, Revoke(OPERATOR, "moved out", True))
    assert not bridged.open
    bridged.two.network.advance(5.0)
    record = bridged.record()
    assert (record.state, record.revocation_reason) == ("revoked", "peer_revoked: moved out")
    assert bridged.step("resume").code == "invalid_transition"
    assert bridged.create(BRIDGE.replace("b001", "b002")).code == "peer_revoked"


def test_a_stale_version_is_refused(bridged: Bridged) -> None:
    bridged.create()
    ref = Ref(KIND.name, BRIDGE)
    assert told(bridged.two.a, ref, Update(OPERATOR, {"note": "x"}, 7)).code == "version_conflict"
    assert told(bridged.two.a, ref, Update(OPERATOR, {"note": "x"}, 1)).metadata == {"note": "x"}
