"""Two platforms in virtual time: the production actors and doors, whole handshakes, silence, crashes, lies of the network."""

from __future__ import annotations

import itertools

import pytest

from actors.peer.lifecycle import TRANSITIONS
from actors.settings import FederationSettings
from runtime.store.chain import verify
from sim.mishaps import wipe
from sim.nat import NatRules
from sim.world import Host, World

PEERS = "/api/v1/system/platform/peers"
STEPS = {(row.source, row.target) for row in TRANSITIONS}


def pair(world: World) -> tuple[Host, Host]:
    return world.platform("a").sign_in(), world.platform("b").sign_in()


def propose(host: Host, other: Host) -> tuple[str, str]:
    reply = host.call("POST", PEERS, {"remote_instance_url": other.url})
    assert reply is not None
    assert reply.status == 201, reply.body
    return reply.data["peer"]["id"], reply.data["acceptance_token"]


def status(host: Host, peer_id: str) -> str:
    reply = host.call("GET", f"{PEERS}/{peer_id}")
    assert reply is not None
    if reply.status == 401:
        host.sign_in()
        return status(host, peer_id)
    return str(reply.data["peer"]["status"])


def stored(host: Host, peer_id: str) -> str:
    row = host.store.load("peer", peer_id)
    return "" if row is None else str(row.record.status)


def passed(host: Host, peer_id: str) -> list[str]:
    return [entry.payload["to"] for entry in host.store.audit(peer_id, 0, 1000) if "to" in entry.payload]


def connected(world: World) -> tuple[Host, Host, str, str]:
    a, b = pair(world)
    a_peer, token = propose(a, b)
    b_peer, _ = propose(b, a)
    reply = b.call("POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": token})
    assert reply is not None
    assert reply.status == 200, reply.body
    assert world.run_until(lambda: stored(a, a_peer) == stored(b, b_peer) == "active", 60)
    return a, b, a_peer, b_peer


def check_trail(host: Host, peer_id: str) -> None:
    """Every status change is in the table and has exactly one entry; the chain is unbroken."""
    entries = host.store.audit(peer_id, 0, 10_000)
    assert verify(entries) is None
    trail = passed(host, peer_id)
    assert trail[0] == "proposed"
    assert all(step in STEPS for step in itertools.pairwise(trail)), trail
    assert trail[-1] == stored(host, peer_id)
    assert trail.count("accepted") <= 1


def test_both_sides_become_active_at_once_and_every_status_shows() -> None:
    world = World(1)
    a, b, a_peer, b_peer = connected(world)
    assert world.timeline.now < 5
    for host, peer in ((a, a_peer), (b, b_peer)):
        assert passed(host, peer) == ["proposed", "accepted", "enrolled", "active"]
        check_trail(host, peer)


def test_without_eager_heartbeats_the_first_tick_activates_within_a_minute() -> None:
    world = World(2)
    a, b = world.platform("a", heartbeat_eager=False).sign_in(), world.platform("b", heartbeat_eager=False).sign_in()
    a_peer, token = propose(a, b)
    b_peer, _ = propose(b, a)
    reply = b.call("POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": token})
    assert reply is not None
    assert reply.data["peer"]["status"] == "accepted"
    world.run_for(20)
    assert stored(a, a_peer) == stored(b, b_peer) == "accepted"
    assert world.run_until(lambda: stored(a, a_peer) == stored(b, b_peer) == "active", 46.1)


def test_silence_reads_as_degraded_before_it_is_committed_and_recovery_is_automatic() -> None:
    world = World(3)
    a, b, a_peer, b_peer = connected(world)
    world.run_for(600)
    assert stored(a, a_peer) == "active"
    last = max(host.engine.directory.row("peer", peer).evidence.last_heartbeat_at for host, peer in ((a, a_peer), (b, b_peer)))  # type: ignore[union-attr]
    world.links.partition("a", "b")
    quiet = last + 300 - a.clock.wall()
    world.run_for(quiet - 1)
    assert status(a, a_peer) == "active"
    world.run_for(2)
    assert status(a, a_peer) == "degraded"
    listed = a.call("GET", f"{PEERS}?status=degraded")
    assert listed is not None
    assert [row["id"] for row in listed.data] == [a_peer]
    assert world.run_until(lambda: stored(a, a_peer) == stored(b, b_peer) == "degraded", 60 + 11)
    world.links.heal()
    assert world.run_until(lambda: stored(a, a_peer) == stored(b, b_peer) == "active", 67)
    for host, peer in ((a, a_peer), (b, b_peer)):
        check_trail(host, peer)


def test_a_peer_that_never_came_up_is_reported_and_never_degrades() -> None:
    world = World(4)
    a, b = pair(world)
    a_peer, token = propose(a, b)
    b_peer, _ = propose(b, a)
    waiting = b.send("POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": token})
    assert world.run_until(lambda: stored(a, a_peer) == "accepted", 10)
    world.links.partition("a", "b")
    world.run_for(3600)
    assert stored(a, a_peer) == "accepted"
    a.sign_in()
    found = a.call("GET", f"/api/v1/system/federation/governance?peer_id={a_peer}")
    assert found is not None
    stuck = next(finding for finding in found.data if finding["kind"] == "stale_accepted_without_handshake")
    assert "remote_unreachable" in stuck["message"]
    assert waiting
    assert waiting[0].status in (200, 502, 504)


def test_a_token_works_once() -> None:
    world = World(5)
    a, b, _, b_peer = connected(world)
    c = world.platform("c").sign_in()
    a_for_c, token = propose(a, c)
    c_peer, _ = propose(c, a)
    first = c.call("POST", f"{PEERS}/{c_peer}/accept", {"acceptance_token": token})
    assert first is not None
    assert first.status == 200
    again = b.call("POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": token})
    assert again is not None
    assert again.body["code"] == "invalid_transition"
    assert passed(a, a_for_c).count("accepted") == 1


def test_crossed_accepts_converge() -> None:
    for seed in range(20):
        world = World(f"crossed-{seed}")
        a, b = pair(world)
        a_peer, token_of_a = propose(a, b)
        b_peer, token_of_b = propose(b, a)
        answers = [
            a.send("POST", f"{PEERS}/{a_peer}/accept", {"acceptance_token": token_of_b}),
            b.send("POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": token_of_a}),
        ]
        assert world.run_until(lambda a=a, b=b, x=a_peer, y=b_peer: stored(a, x) == stored(b, y) == "active", 120), answers  # type: ignore[misc]
        for host, peer in ((a, a_peer), (b, b_peer)):
            check_trail(host, peer)


def test_clocks_apart_by_less_than_the_tolerance_change_nothing() -> None:
    for offset_s in (-590.0, 590.0):
        world = World(f"skew-{offset_s}")
        a = world.platform("a")
        a.clock.offset_s = offset_s
        a.sign_in()
        b = world.platform("b").sign_in()
        a_peer, token = propose(a, b)
        b_peer, _ = propose(b, a)
        reply = b.call("POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": token})
        assert reply is not None
        assert reply.status == 200, reply.body
        assert world.run_until(lambda a=a, b=b, x=a_peer, y=b_peer: stored(a, x) == stored(b, y) == "active", 60)  # type: ignore[misc]


def slow_pair(world: World, **settings: float) -> tuple[Host, Host, str, str]:
    """An active pair that beats once an hour, so that months pass quickly."""
    a, b = (world.platform(name, heartbeat_interval_s=3600.0, stale_after_s=9000.0, **settings).sign_in() for name in ("a", "b"))
    a_peer, token = propose(a, b)
    b_peer, _ = propose(b, a)
    reply = b.call("POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": token})
    assert reply is not None
    assert reply.status == 200, reply.body
    assert world.run_until(lambda: stored(a, a_peer) == stored(b, b_peer) == "active", 60)
    return a, b, a_peer, b_peer


def test_client_certificates_renew_themselves_and_the_peering_outlives_them() -> None:
    world = World("renewal")
    a, b, a_peer, b_peer = slow_pair(world, cert_ttl_s=4 * 86_400.0, cert_renew_at_s=2 * 86_400.0, cert_warn_s=86_400.0)
    serials = [host.store.load("peer", peer).record.outbound.serial for host, peer in ((a, a_peer), (b, b_peer))]  # type: ignore[union-attr]
    world.run_for(5 * 86_400)
    for host, peer, serial in ((a, a_peer, serials[0]), (b, b_peer, serials[1])):
        row = host.store.load("peer", peer)
        assert row is not None
        assert row.record.outbound.serial != serial
        assert row.record.outbound.not_after > host.clock.wall() + 86_400
        assert row.record.status == "active"
        assert host.clock.wall() - row.evidence.last_outbound_heartbeat_at < 2 * 3600
        check_trail(host, peer)


def test_without_renewal_the_certificate_ends_and_nothing_is_sent_without_it() -> None:
    world = World("no-renewal")
    a, _, a_peer, _ = slow_pair(world, cert_ttl_s=86_400.0, cert_auto_renew=False)
    world.run_for(86_400 + 9_000 + 3_700)
    assert stored(a, a_peer) == "degraded"
    before = world.frames_count
    world.run_for(7_200)
    assert world.frames_count == before
    a.sign_in()
    found = a.call("GET", f"/api/v1/system/federation/governance?peer_id={a_peer}")
    assert found is not None
    assert "peer_cert_expired" in {finding["kind"] for finding in found.data}


def test_past_its_agreed_end_a_peering_sends_and_serves_nothing() -> None:
    world = World("end")
    a, _, a_peer, _ = connected(world)
    end = "2030-03-17T17:48:00Z"
    changed = a.call("PATCH", f"{PEERS}/{a_peer}", {"expires_at": end})
    assert changed is not None
    assert changed.status == 200
    world.run_for(900)
    sent = [frame for frame in world.frames if frame.kind == "call" and frame.source == "a" and frame.at > 120]
    served = [frame for frame in world.frames if frame.kind == "answer" and frame.source == "a" and frame.at > 120]
    assert sent == []
    assert served
    assert all(frame.what.startswith("403 ") for frame in served)


def troubled(seed: int) -> World:
    """One handshake under loss, crashes of either side at any moment, and a healed end."""
    world = World(f"troubled-{seed}")
    chance = world.chance.stream("trouble")
    a, b = pair(world)
    for host in (a, b):
        host.store.disk.fsync_s = 0.002
    a_peer, token = propose(a, b)
    b_peer, _ = propose(b, a)
    for one, other in (("a", "b"), ("b", "a")):
        world.links.between(one, other).loss = chance.choice([0.0, 0.2, 0.5])
    b.send("POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": token})
    for _ in range(chance.randrange(4)):
        victim = chance.choice([a, b])
        world.run_for(chance.choice([0.001, 0.01, 0.03, 0.1, 1.0]) * chance.random())
        victim.crash()
        world.run_for(chance.random() * 2)
        victim.restart()
    world.run_for(60)
    world.links.heal()
    rescue(world, a, b, a_peer, b_peer, token)
    for host, peer in ((a, a_peer), (b, b_peer)):
        check_trail(host, peer)
    return world


def rescue(world: World, a: Host, b: Host, a_peer: str, b_peer: str, token: str) -> None:
    """What an operator would do: wait, accept again, else with a fresh token."""

    def active() -> bool:
        return stored(a, a_peer) == stored(b, b_peer) == "active"

    if world.run_until(active, 130):
        return
    for host in (a, b):
        host.sign_in()
    b.call("POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": token})
    if world.run_until(active, 130):
        return
    minted = a.call("POST", f"{PEERS}/{a_peer}/acceptance_token", {})
    assert minted is not None
    assert minted.status == 201, (minted.body, stored(a, a_peer), stored(b, b_peer))
    again = b.call("POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": minted.data["acceptance_token"]})
    assert again is not None
    assert again.status == 200, (again.body, stored(a, a_peer), stored(b, b_peer))
    assert world.run_until(active, 130), (stored(a, a_peer), stored(b, b_peer))


@pytest.mark.parametrize("block", range(4))
def test_handshakes_under_loss_and_crashes_end_well(block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        troubled(seed)


@pytest.mark.sweep
def test_many_handshakes_under_loss_and_crashes_end_well() -> None:
    for seed in range(1000, 3000):
        troubled(seed)


def test_the_same_seed_gives_the_same_world() -> None:
    for seed in (7, 8):
        assert troubled(seed).digest() == troubled(seed).digest()
    assert troubled(7).digest() != troubled(8).digest()


def test_old_frames_are_forgotten_but_stay_in_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = World(9)
    connected(whole)
    monkeypatch.setattr("sim.world.FRAMES_KEPT", 3)
    cut = World(9)
    connected(cut)
    assert list(cut.frames) == list(whole.frames)[-3:]
    assert cut.frames_count == whole.frames_count == len(whole.frames)
    assert cut.digest() == whole.digest()
    cut.record("call", "a", "b", "more")
    assert cut.digest() != whole.digest()


def test_a_paused_process_does_nothing_and_then_everything() -> None:
    world = World(21)
    a, b, a_peer, b_peer = connected(world)
    b.pause()
    replies = b.send("GET", f"{PEERS}/{b_peer}")
    world.run_for(700)
    assert not replies
    assert stored(a, a_peer) == "degraded"
    b.unpause()
    world.run_for(1)
    assert [reply.status for reply in replies] == [200]
    assert world.run_until(lambda: stored(a, a_peer) == stored(b, b_peer) == "active", 70)


def test_signing_in_waits_for_an_operator_who_is_made_slowly() -> None:
    world = World(9)
    a, _ = pair(world)
    wipe(a)
    a.store.disk.fsync_s = 1.0
    a.sign_in()
    assert a.token


def test_a_wiped_platform_gets_a_disk_without_faults() -> None:
    world = World(9)
    a, _ = pair(world)
    a.store.disk.fsync_s, a.store.disk.full = 3600.0, True
    wipe(a)
    a.sign_in()
    assert a.token


def test_a_host_behind_a_nat_is_seen_by_the_address_of_the_nat() -> None:
    world = World(22)
    world.network.add_nat("home", NatRules())
    a = world.platform("a")
    b = Host(world, "b", FederationSettings(), realm="home")
    world.hosts["b"] = b
    b.start()
    assert b.address == world.network.nats["home"].outside
    seen: list[str] = []
    handle = a.handle
    a.handle = lambda call, done, source="": (seen.append(call.source.address), handle(call, done, source))[1]  # type: ignore[method-assign]
    a.sign_in()
    b.sign_in()
    peer, token = propose(a, b)
    b_peer, _ = propose(b, a)
    seen.clear()
    assert (reply := b.call("POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": token})) is not None
    assert reply.status == 200
    world.run_for(300)
    assert set(seen) == {b.address}
    assert stored(a, peer) == "active"
