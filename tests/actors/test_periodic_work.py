"""What a platform does by itself: each work is told of, and a run that a stop made it miss is made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actors.audit_archive.record import ARCHIVE, PRUNING
from actors.governance.messages import Start
from actors.governance.record import KIND as GOVERNANCE
from actors.periodic.messages import Begin, NoteRun
from actors.periodic.record import PeriodicEvidence, Runs, with_run
from actors.periodic.works import WORKS
from actors.registry import ACTORS
from actors.wall_clock.messages import ClockHeard
from actors.wall_clock.record import KIND as WALL_CLOCK
from runtime.actor import Ref
from sim.world import Host
from tests.support.chains import trio
from tests.support.grants import PEERS, Peers
from tests.support.services import offer, quiet_peers, step

WORK = "/api/v1/system/platform/periodic_work"
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
AT_ONCE = 20.0
"""So long after a start every run that was missed has been made, and no other is due yet."""
CERTAIN = 60.0
"""The same for what destroys for good, which waits until the time is certain and looks for that every half minute."""


def told(host: Host) -> dict[str, dict[str, Any]]:
    host.sign_in()
    reply = host.call("GET", WORK)
    assert reply is not None
    assert reply.status == 200, reply.body
    return {row["name"]: row for row in reply.data}


def down_for(host: Host, seconds: float) -> None:
    """The machine is off for so long, while everywhere else the time passes."""
    host.world.run_for(2.0)  # what is evidence has been written
    host.crash()
    for each in host.world.hosts.values():
        each.clock.offset_s += seconds
    host.restart()
    # These peers send no heartbeats, the first of which would settle the clock.
    host.engine.tell(Ref(WALL_CLOCK.name, host.instance_id), ClockHeard("another", 0.0))


def expired_grant() -> Host:
    two = quiet_peers()
    two.issue(ttl_seconds=3_600)
    down_for(two.a, 2 * HOUR)
    two.world.run_for(AT_ONCE)
    return two.a


def retired_offering() -> Host:
    two = quiet_peers()
    step(two, offer(two)["id"], "retire")
    return two.a


def subscribed() -> Host:
    two = quiet_peers()
    offer(two)
    body = {"slug": "wiki", "local_hostname": "wiki.b.example"}
    reply = two.ask("POST", f"/api/v1/system/federation/peers/{two.a_at_b}/subscriptions", body, at=two.b)
    assert reply.status == 201, reply.body
    return two.b


def mirroring() -> Host:
    two = quiet_peers()
    two.hold()
    body = {"resource_kind": "NodeModule", "direction": "pull_remote_to_local", "policy": "auto_periodic", "interval_seconds": 300}
    reply = two.ask("POST", f"{PEERS}/{two.a_at_b}/capabilities", body, at=two.b)
    assert reply.status == 201, reply.body
    return two.b


def moving() -> Host:
    """A migration in doubt: its destination has gone away."""
    three = trio("moving")
    body = {
        "operation": "migrate", "root_resource_kind": "NodeModule", "root_resource_id": three.module_id, "dry_run": False,
        "destination_peer_id": three.peer_id(three.a, three.b),
    }  # fmt: skip
    planned = three.ask(three.a, "POST", "/api/v1/system/platform/migrations", body)
    assert planned.status == 201, planned.body
    three.b.crash()
    three.a.send("POST", f"/api/v1/system/platform/migrations/{planned.data['migration']['id']}/apply", {})
    return three.a


def chained() -> Host:
    """A chain that waits for a holder who is away."""
    three = trio("chained")
    three.b.crash()
    three.act(three.planned(three.b, three.c), "run")
    return three.a


def looked_over() -> Host:
    two = quiet_peers()
    two.a.engine.tell(Ref(GOVERNANCE.name, two.a.account_id), Start(two.a.account_id))
    two.world.run_for(200.0)
    return two.a


def daily() -> Host:
    two = quiet_peers(a={"audit_retention_s": 90 * DAY})
    for kind in (ARCHIVE, PRUNING):
        two.a.engine.tell(Ref(kind.name, two.a.account_id), Begin(two.a.account_id))
    return two.a


MISSED: dict[str, tuple[Callable[[], Host], float, float]] = {
    "audit_archive": (daily, 3 * DAY, AT_ONCE),
    "audit_pruning": (daily, 3 * DAY, CERTAIN),
    "capability_sync": (mirroring, HOUR, AT_ONCE),
    "chain_advance": (chained, 10 * MINUTE, AT_ONCE),
    "governance_scan": (looked_over, HOUR, 200.0),
    "grant_archival": (expired_grant, 100 * DAY, CERTAIN),
    "grant_review": (looked_over, 30 * DAY, 200.0),
    "migration_recovery": (moving, 10 * MINUTE, AT_ONCE),
    "offering_retirement": (retired_offering, 31 * DAY, AT_ONCE),
    "subscription_monitor": (subscribed, 5 * HOUR, AT_ONCE),
}
"""By work: a platform that does it, how long it is off (several times as long as the work waits), and how soon the run must have come."""


def test_the_table_names_every_work_and_only_kinds_that_there_are() -> None:
    assert set(MISSED) == set(WORKS)
    assert list(WORKS) == sorted(WORKS)
    assert {work.daily for work in WORKS.values() if work.daily is not None} <= set(ACTORS)


@pytest.mark.parametrize("work", sorted(MISSED))
def test_a_run_that_was_missed_is_made_once(work: str) -> None:
    begin, off_s, soon_s = MISSED[work]
    host = begin()
    host.world.run_for(5.0)
    before = told(host)[work]["runs"]
    down_for(host, off_s)
    host.world.run_for(soon_s)
    after = told(host)[work]
    assert after["runs"] == before + 1
    assert after["last_run_at"] is not None
    host.world.run_for(5.0)
    assert told(host)[work]["runs"] == before + 1


def test_what_a_run_met_is_told_until_a_run_goes_well() -> None:
    host = subscribed()
    provider = host.world.hosts["a"]
    provider.crash()
    down_for(host, 2 * HOUR)
    host.world.run_for(MINUTE)
    assert told(host)["subscription_monitor"]["last_error"] == "remote_unreachable"
    provider.restart()
    down_for(host, 2 * HOUR)
    host.world.run_for(MINUTE)
    assert told(host)["subscription_monitor"]["last_error"] is None


def test_a_run_more_is_counted_and_the_last_error_stands_alone() -> None:
    evidence = with_run(None, NoteRun("x", 1.0, "remote_unreachable"))
    assert evidence == PeriodicEvidence({"x": Runs(1.0, "remote_unreachable", 1)})
    assert with_run(evidence, NoteRun("x", 2.0, None)).works["x"] == Runs(2.0, None, 2)


def test_an_account_that_has_done_nothing_is_told_of_every_work() -> None:
    two: Peers = quiet_peers()
    rows = told(two.a)
    assert list(rows) == list(WORKS)
    assert {(row["runs"], row["last_run_at"], row["last_error"], row["next_run_at"]) for row in rows.values()} == {(0, None, None, None)}
