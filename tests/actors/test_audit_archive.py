"""Shipping audit chains: what is chosen, that nothing is believed unread, and that a run can be cut off anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.audit_archive import excerpts
from actors.audit_archive.lifecycle import STATES, TRANSITIONS
from actors.audit_archive.messages import Shipped
from actors.audit_archive.pruning import Pruner, Run
from actors.audit_archive.record import ARCHIVE, PRUNING, SHIPMENT, SHIPPED_AT, PruningRuns, Refused, ShipmentRecord, follows
from actors.periodic.daily import next_at
from actors.periodic.messages import Begin
from actors.wall_clock.messages import ClockHeard
from actors.wall_clock.record import KIND as WALL_CLOCK
from runtime.actor import Ref
from runtime.clock import iso
from runtime.store.chain import verify
from runtime.store.port import AuditEntry, Query
from runtime.values import as_dict
from sim.world import Host, World
from tests.support.services import OFFERINGS, WIKI

DAY = 86_400.0
SHIP = "/api/v1/system/platform/audit/ship"
PEERS = "/api/v1/system/platform/peers"
CHAINS = "/api/v1/system/platform/audit/chains"


def paired(seed: int = 1, **federation: Any) -> tuple[World, Host, Host, str]:
    """Two active platforms, and the id of the first one's row; keyword arguments are settings of the first one."""
    world = World(seed)
    a, b = world.platform("a", **federation).sign_in(), world.platform("b").sign_in()
    a.engine.tell(Ref(ARCHIVE.name, a.account_id), Begin(a.account_id))
    proposed = a.call("POST", PEERS, {"remote_instance_url": b.url})
    assert proposed is not None
    accepted = b.call("POST", f"{PEERS}/accept", {"invitation": proposed.data["invitation"]})
    assert accepted is not None
    assert accepted.status == 200
    world.run_for(5.0)
    return world, a, b, proposed.data["peer"]["id"]


def later(host: Host, days: float) -> None:
    """Only the wall clock moves, and it is right: nothing has to happen in between."""
    host.clock.offset_s += days * DAY
    host.engine.tell(Ref(WALL_CLOCK.name, host.instance_id), ClockHeard("whoever", 0.0))
    host.sign_in()


def ship(host: Host) -> Any:
    reply = host.call("POST", SHIP, {})
    assert reply is not None
    assert reply.status == 200, reply.body
    return reply.data


def get(host: Host, path: str) -> Any:
    reply = host.call("GET", path)
    assert reply is not None
    assert reply.status == 200, reply.body
    return reply.data


def shipments(host: Host) -> list[ShipmentRecord]:
    return sorted((row.record for row in host.store.query(Query(SHIPMENT.name, newest_first=False))), key=lambda record: record.number)


def test_every_state_is_reached_and_named() -> None:
    assert set(TRANSITIONS.values()) | {"pending"} == set(STATES)
    assert not [source for source, _ in TRANSITIONS if source == "verified"]


def test_the_daily_run_is_at_half_past_four() -> None:
    assert next_at(SHIPPED_AT, 0.0) == 4.5 * 3600
    assert next_at(SHIPPED_AT, 4.5 * 3600) == 28.5 * 3600


def test_young_entries_stay() -> None:
    _, a, _, _ = paired()
    assert ship(a) == as_dict(Shipped(1, 0, 0, 0, 2))


def test_old_entries_are_shipped_once_and_can_be_verified_alone() -> None:
    _, a, _, peer_id = paired()
    chain = a.store.audit(peer_id, 0, 100)
    later(a, 31)
    assert ship(a) == as_dict(Shipped(1, 1, len(chain), 0, 2))
    (record,) = shipments(a)
    assert (record.state, record.first_sequence, record.last_sequence) == ("verified", 1, len(chain))
    manifest, *lines = a.archive.objects[record.path].splitlines()
    assert json.loads(manifest)["shipment"] == record.id
    entries = [AuditEntry(**json.loads(line)) for line in lines]
    assert entries == chain
    assert verify(entries) is None
    assert ship(a)["shipped"] == 0


def test_shipments_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.audit_archive.actor.SHIPMENT_ENTRIES_MAX", 2)
    _, a, _, peer_id = paired()
    later(a, 31)
    ship(a)
    found = shipments(a)
    assert len(found) >= 2
    assert all(follows(each, former) for former, each in zip([None, *found], found, strict=False))
    assert found[-1].last_sequence == len(a.store.audit(peer_id, 0, 100))


@pytest.mark.parametrize(("fault", "error"), [("full", "archive_unavailable"), ("forgets", "object_missing"), ("rots", "object_changed")])
def test_what_the_archive_does_not_give_back_counts_as_failed_and_is_tried_again(fault: str, error: str) -> None:
    _, a, _, _ = paired()
    later(a, 31)
    setattr(a.archive, fault, True)
    assert ship(a)["failures"] == 1
    (record,) = shipments(a)
    assert (record.state, record.error, record.shipped_at) == ("failed", error, None)
    setattr(a.archive, fault, False)
    spoilt = dict(a.archive.objects)
    assert ship(a) == as_dict(Shipped(1, 1, record.entry_count, 0, 2))
    (record,) = shipments(a)
    assert (record.state, record.attempts, record.error) == ("verified", 2, None)
    # What cannot be trusted stays where it is, and the shipment stands beside it.
    assert (record.path in spoilt, record.path.endswith(".2.jsonl")) == (False, bool(spoilt))
    assert spoilt.items() <= a.archive.objects.items()


def test_an_ended_peering_is_shipped_too() -> None:
    world, a, _, peer_id = paired()
    revoked = a.call("POST", f"{PEERS}/{peer_id}/revoke", {"immediate": True})
    assert revoked is not None
    assert revoked.status == 200
    world.run_for(1.0)
    later(a, 31)
    ship(a)
    (record,) = shipments(a)
    assert record.last_sequence == len(a.store.audit(peer_id, 0, 100))


def test_every_chain_is_listed_read_and_shipped() -> None:
    world, a, _, peer_id = paired()
    offering = a.call("POST", OFFERINGS, WIKI)
    assert offering is not None
    offering_id = offering.data["offering"]["id"]
    assert a.call("POST", f"{OFFERINGS}/{offering_id}/activate", {}) is not None
    world.run_for(1.0)
    instance_id = a.instance_id
    rotated = a.call("POST", "/api/v1/system/platform/trust/rotate", {})
    assert rotated is not None
    world.run_for(5.0)
    listed = {row["id"]: row for row in get(a, CHAINS)}
    assert {id: row["kind"] for id, row in listed.items()} == {peer_id: "peer", offering_id: "service_offering", instance_id: "platform"}
    for id, row in listed.items():
        entries = a.store.audit(id, 0, 100)
        assert (row["entry_count"], row["head_hash"], row["shipped_up_to"]) == (len(entries), entries[-1].hash, 0)
        assert [(each["chain"], each["hash"]) for each in get(a, f"{CHAINS}/{id}/entries")] == [(id, entry.hash) for entry in entries]
    later(a, 31)
    ship(a)
    assert all(row["shipped_up_to"] == listed[row["id"]]["entry_count"] for row in get(a, CHAINS))
    (shipped,) = get(a, f"{CHAINS}/{instance_id}/shipments")
    assert (shipped["chain_kind"], shipped["federation_peer_id"], shipped["status"]) == ("platform", None, "verified")
    manifest = json.loads(a.archive.objects[shipped["path"]].splitlines()[0])
    assert (manifest["chain"], manifest["chain_kind"]) == (instance_id, "platform")


def test_a_failed_shipment_of_the_platforms_own_chain_is_a_finding() -> None:
    world, a, _, _ = paired()
    assert a.call("POST", "/api/v1/system/platform/trust/rotate", {}) is not None
    world.run_for(5.0)
    later(a, 31)
    a.archive.full = True
    assert ship(a)["failures"] == 2
    found = [row for row in get(a, "/api/v1/system/federation/governance") if row["kind"] == "audit_seal_failed"]
    own = [row for row in found if row["federation_peer_id"] is None]
    assert (len(found), len(own)) == (2, 1)
    assert own[0]["payload"]["chain"] == a.instance_id


def test_a_shipment_that_an_earlier_release_stored_is_read() -> None:
    stored = {"id": "x", "federation_peer_id": "p", "number": 1}
    assert SHIPMENT.upcast is not None
    assert SHIPMENT.upcast(stored) == {"id": "x", "chain": "p", "number": 1}


@pytest.mark.parametrize("seed", range(6))
def test_a_run_may_be_cut_off_anywhere(seed: int) -> None:
    world, a, _, peer_id = paired(seed)
    later(a, 31)
    a.store.disk.fsync_s = 0.010
    a.send("POST", SHIP, {})
    world.run_for(0.005 + 0.010 * seed)
    a.crash()
    a.restart()
    a.store.disk.fsync_s = 0.0
    a.sign_in()
    # The run that was due goes on by itself; nobody has to ask again.
    world.run_for(5.0)
    ship(a)
    (record,) = shipments(a)
    assert (record.state, record.last_sequence) == ("verified", len(a.store.audit(peer_id, 0, 100)))
    assert len(a.archive.objects) == 1


def test_the_daily_run_comes_by_itself() -> None:
    world, a, _, _ = paired()
    later(a, 31)
    world.run_for(DAY + 60)
    assert [record.state for record in shipments(a)][:1] == ["verified"]


# --- excerpts ---------------------------------------------------------------------------------------------------------


def test_a_peer_is_shown_its_own_trail_without_our_people_and_reasons() -> None:
    world, a, b, peer_id = paired()
    theirs = next(row.record for row in b.store.query(Query("peer")))
    reply = b.call("POST", f"{PEERS}/{theirs.id}/audit_requests", {})
    assert reply is not None
    assert reply.status == 200, reply.body
    told = reply.data
    assert told["peer_id"] == peer_id
    assert [event["sequence"] for event in told["events"]] == list(range(1, told["count"] + 1))
    assert [event["payload"].get("to") for event in told["events"] if event["payload"].get("to")] == [
        "proposed",
        "accepted",
        "enrolled",
        "active",
    ]
    assert a.operator_id not in json.dumps(told)
    assert "reason" not in json.dumps(told)
    world.run_for(0.1)
    assert a.store.audit(peer_id, 0, 100)[-1].action == "audit.excerpts_read"
    assert b.store.audit(theirs.id, 0, 100)[-1].action == "audit.excerpts_requested"


def test_a_long_trail_is_read_in_pages() -> None:
    _, _, b, _ = paired()
    theirs = next(row.record for row in b.store.query(Query("peer")))
    seen: list[int] = []
    cursor: int | None = 0
    while cursor is not None:
        reply = b.call("POST", f"{PEERS}/{theirs.id}/audit_requests", {"limit": 2, "cursor": cursor, "until": iso(b.clock.wall() + 1)})
        assert reply is not None
        assert len(reply.data["events"]) <= 2
        seen += [event["sequence"] for event in reply.data["events"]]
        cursor = reply.data["next_cursor"]
    assert seen == sorted(set(seen))
    assert len(seen) >= 4


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"since": "yesterday"}, 400, "invalid_timestamp"),
        ({"since": "2030-01-02T00:00:00"}, 400, "invalid_timestamp"),
        ({"since": "2030-01-02T00:00:00Z", "until": "2030-01-01T00:00:00Z"}, 422, "invalid_window"),
        ({"limit": 0}, 400, "invalid_parameter"),
    ],
)
def test_a_bad_window_is_told(body: dict[str, Any], status: int, code: str) -> None:
    _, _, b, _ = paired()
    theirs = next(row.record for row in b.store.query(Query("peer")))
    reply = b.call("POST", f"{PEERS}/{theirs.id}/audit_requests", body)
    assert reply is not None
    assert (reply.status, reply.body["code"]) == (status, code)


def test_a_paused_peer_is_shown_nothing() -> None:
    world, a, b, peer_id = paired()
    theirs = next(row.record for row in b.store.query(Query("peer")))
    a.call("POST", f"{PEERS}/{peer_id}/suspend", {})
    world.run_for(0.5)
    reply = b.call("POST", f"{PEERS}/{theirs.id}/audit_requests", {})
    assert reply is not None
    assert reply.status in (409, 502)


def test_the_trail_of_a_peer_has_two_names() -> None:
    _, a, _, peer_id = paired()
    one, other = (a.call("GET", f"{path}/{peer_id}/audit_log") for path in (PEERS, "/api/v1/system/sdwan/federation_peers"))
    assert one is not None
    assert other is not None
    assert len(one.data) > 2
    assert other.data == one.data


# --- pruning ----------------------------------------------------------------------------------------------------------

PRUNE = "/api/v1/system/platform/audit/prune"


def kept_for_a_year(monkeypatch: pytest.MonkeyPatch) -> tuple[World, Host, Host, str]:
    """Two platforms with shipped trails; the first one prunes what is older than a year."""
    monkeypatch.setattr("actors.audit_archive.actor.SHIPMENT_ENTRIES_MAX", 2)
    world, a, b, peer_id = paired(audit_retention_s=365 * DAY)
    for step in ("suspend", "resume"):
        assert a.call("POST", f"{PEERS}/{peer_id}/{step}", {}) is not None
        world.run_for(1.0)
    later(a, 31)
    ship(a)
    return world, a, b, peer_id


def years_later(world: World, host: Host) -> None:
    """The pruner begins only then, so that its daily run is still to come."""
    later(host, 400)
    host.engine.tell(Ref(PRUNING.name, host.account_id), Begin(host.account_id))
    world.run_for(1.0)


def prune(host: Host, **body: Any) -> Any:
    reply = host.call("POST", PRUNE, body)
    assert reply is not None
    assert reply.status == 200, reply.body
    return reply.data


def test_nothing_is_pruned_unless_it_is_said_for_how_long_entries_stay() -> None:
    world, a, _, _ = paired()
    a.engine.tell(Ref(PRUNING.name, a.account_id), Begin(a.account_id))
    world.run_for(1.0)
    reply = a.call("POST", PRUNE, {})
    assert reply is not None
    assert (reply.status, reply.body["code"]) == (409, "pruning_off")


def test_old_shipments_are_pruned_whole_and_the_end_of_the_chain_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    world, a, _, peer_id = kept_for_a_year(monkeypatch)
    whole = a.store.audit(peer_id, 0, 100)
    years_later(world, a)
    mine = [record for record in shipments(a) if record.last_sequence < len(whole)]
    expected = {"chains": 1, "shipments": len(mine), "entries": mine[-1].last_sequence, "failures": 0, "more": False}
    assert prune(a, dry_run=True) == expected
    assert a.store.audit(peer_id, 0, 100) == whole
    assert prune(a, limit=1) == {"chains": 1, "shipments": 1, "entries": 2, "failures": 0, "more": True}
    assert a.store.audit(peer_id, 0, 100) == whole[2:]
    assert prune(a)["shipments"] == len(mine) - 1
    anchor = a.store.audit_pruned(peer_id)
    assert anchor is not None
    assert (anchor.sequence, anchor.hash, anchor.held_by) == (mine[-1].last_sequence, mine[-1].head_hash, mine[-1].id)
    assert a.store.audit(peer_id, 0, 100) == whole[anchor.sequence :]
    assert prune(a) == {"chains": 0, "shipments": 0, "entries": 0, "failures": 0, "more": False}
    assert a.store.audit(a.instance_id, 0, 100)[-1].action == "audit.pruned"


def test_what_was_pruned_is_told_wherever_the_chain_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    world, a, b, peer_id = kept_for_a_year(monkeypatch)
    years_later(world, a)
    prune(a)
    anchor = a.store.audit_pruned(peer_id)
    assert anchor is not None
    log = a.call("GET", f"{PEERS}/{peer_id}/audit_log")
    assert log is not None
    assert (log.body["meta"]["complete_from"], log.data[0]["sequence"]) == (anchor.sequence + 1, anchor.sequence + 1)
    (row,) = [row for row in get(a, CHAINS) if row["id"] == peer_id]
    assert (row["pruned_up_to"], row["pruned_hash"]) == (anchor.sequence, anchor.hash)
    theirs = next(row.record for row in b.store.query(Query("peer")))
    answered = excerpts.taken({"data": {"peer_id": theirs.id, "window": {}, "events": [], "shipments": [], "complete_from": 3}})
    assert answered is not None
    assert answered["complete_from"] == 3


@pytest.mark.parametrize("spoil", ["gone", "changed", "away"])
def test_what_the_archive_does_not_hold_any_more_is_not_pruned(spoil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world, a, _, peer_id = kept_for_a_year(monkeypatch)
    years_later(world, a)
    whole = a.store.audit(peer_id, 0, 100)
    second = shipments(a)[1]
    if spoil == "gone":
        del a.archive.objects[second.path]
    elif spoil == "changed":
        a.archive.objects[second.path] += b"?"
    else:
        a.archive.away = True
    assert prune(a, dry_run=True)["failures"] == 1
    told = prune(a)
    assert told["failures"] == 1
    assert a.store.audit(peer_id, 0, 100) == whole[0 if spoil == "away" else 2 :]
    refused = [event for event in a.store.events(0, 10_000) if event.kind == "federation.audit.prune_refused"]
    assert [event.payload["chain"] for event in refused] == [peer_id]


def owed(host: Host) -> list[tuple[str, int, str]]:
    found = get(host, "/api/v1/system/federation/governance?kind=audit_prune_refused")
    return [(row["payload"]["chain"], row["payload"]["number"], row["payload"]["error"]) for row in found if row.get("resolved_at") is None]


def test_what_the_archive_owes_is_a_finding_until_it_is_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world, a, _, peer_id = kept_for_a_year(monkeypatch)
    years_later(world, a)
    second = shipments(a)[1]
    kept = a.archive.objects.pop(second.path)
    assert prune(a, dry_run=True)["failures"] == 1
    assert owed(a) == []
    assert prune(a)["failures"] == 1
    assert owed(a) == [(peer_id, second.number, "object_missing")]
    a.archive.objects[second.path] = kept + b"?"
    prune(a)
    assert owed(a) == [(peer_id, second.number, "object_changed")]
    a.archive.objects[second.path] = kept
    a.crash()
    a.restart()
    later(a, 0)
    assert owed(a) == [(peer_id, second.number, "object_changed")]
    assert prune(a)["failures"] == 0
    assert owed(a) == []


def test_a_run_that_stops_at_its_limit_forgets_nothing_of_chains_that_it_has_not_come_to() -> None:
    of = [Refused(shipment_id=name, chain=name, chain_kind="peer", number=1, error="object_missing") for name in "abc"]
    pruner = Pruner()
    pruner.record = PruningRuns(id="account", next_run_at=0.0, refused=tuple(of))
    run = Run(looked={"a"}, touched={"b"})
    assert [each.chain for each in pruner._still_refused(run, more=True)] == ["c"]
    assert pruner._still_refused(run, more=False) == ()


@pytest.mark.parametrize("seed", range(4))
def test_a_pruning_may_be_cut_off_anywhere(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world, a, _, peer_id = kept_for_a_year(monkeypatch)
    years_later(world, a)
    whole = a.store.audit(peer_id, 0, 100)
    a.store.disk.fsync_s = 0.010
    a.send("POST", PRUNE, {})
    world.run_for(0.005 + 0.010 * seed)
    a.crash()
    a.restart()
    a.store.disk.fsync_s = 0.0
    later(a, 0)
    anchor = a.store.audit_pruned(peer_id)
    gone = 0 if anchor is None else anchor.sequence
    assert gone in (0, *(record.last_sequence for record in shipments(a)))
    assert a.store.audit(peer_id, 0, len(whole) - gone) == whole[gone:]
    prune(a)
    assert a.store.audit(peer_id, 0, 100)[0].sequence > gone
    assert verify(a.store.audit(peer_id, 0, 100), *_anchor(a, peer_id)) is None


def _anchor(host: Host, chain: str) -> tuple[int, str]:
    found = host.store.audit_pruned(chain)
    assert found is not None
    return found.sequence, found.hash


def test_what_is_younger_than_the_retention_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    world, a, _, _ = kept_for_a_year(monkeypatch)
    a.engine.tell(Ref(PRUNING.name, a.account_id), Begin(a.account_id))
    world.run_for(1.0)
    assert prune(a) == {"chains": 0, "shipments": 0, "entries": 0, "failures": 0, "more": False}


def test_the_daily_pruning_comes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    world, a, _, peer_id = kept_for_a_year(monkeypatch)
    a.engine.tell(Ref(PRUNING.name, a.account_id), Begin(a.account_id))
    world.run_for(1.0)
    assert a.store.audit_pruned(peer_id) is None
    later(a, 400)
    world.run_for(60.0)
    assert _anchor(a, peer_id)[0] > 0
    record = next(row.record for row in a.store.query(Query(PRUNING.name)))
    assert (record.runs, record.last_error) == (1, None)
    assert record.next_run_at > a.clock.wall()
