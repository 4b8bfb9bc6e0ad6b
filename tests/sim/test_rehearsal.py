"""The rehearsal of a rotation: what is told of peers becomes a world, and what came of each of them is said with its reason."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.clock import iso
from sim.cli import sim
from sim.rehearsal import DAY_S, HOUR_S, ROLES_MAX, PeerTold, Untold, _cast, document, overlap_told, read_peers, rehearse
from sim.scenario.load import parse
from sim.scenario.write import to_toml
from sim.world import World

NOW = 1_790_000_000.0


def told(id: str, silent_s: float = 0.0, **more: Any) -> dict[str, Any]:
    peer = {
        "id": id, "remote_instance_url": f"https://{id}.example", "status": "degraded" if silent_s else "active", "trust_mode": "symmetric",
        "spawn_role": "symmetric", "last_heartbeat_at": iso(NOW - silent_s), "clock_skew_s": 0.5, "platform_version": "1.0.0",
        "token_expires_at": None, "progress": "promoted",
    }  # fmt: skip
    return peer | more


SPANS = st.sampled_from([0.0, 1.0, 3_000.0, 5 * HOUR_S, DAY_S, 9 * DAY_S, 400 * DAY_S])
PEERS = st.lists(
    st.builds(
        PeerTold,
        id=st.uuids().map(str),
        url=st.just("https://x.example"),
        status=st.sampled_from(["active", "degraded", "suspended", "accepted", "enrolled"]),
        trust_mode=st.sampled_from(["symmetric", "hierarchical"]),
        spawn_role=st.sampled_from(["symmetric", "parent", "child", None]),
        silent_s=SPANS,
        skew_s=st.floats(-1e5, 1e5),
        version=st.sampled_from([None, "1.0.0", "0.9.0", "77"]),
    ),
    min_size=1,
    max_size=60,
    unique_by=lambda peer: peer.id,
)


@settings(max_examples=40, deadline=None)
@given(peers=PEERS, days=st.integers(1, 30))
def test_whatever_peers_there_are_make_a_scenario(peers: list[PeerTold], days: int) -> None:
    scale = max(1.0, days * DAY_S / DAY_S)
    cast = _cast(peers, scale)
    assert sorted(peer.id for _, members in cast.values() for peer in members) == sorted(peer.id for peer in peers)
    assert len(cast) <= max(ROLES_MAX, len({(p.trust_mode, p.spawn_role, p.skew_s, p.version, p.status, p.silent_s > 0) for p in peers}))
    scenario = parse(to_toml(document(cast, days * DAY_S / scale)), "x.toml")
    assert len(scenario.platforms) == len(cast) + 1


def test_peers_in_the_same_situation_are_played_once() -> None:
    report = rehearse({"peers": [told(str(number)) for number in range(500)]}, now=NOW, overlap_days=7, seeds=[1])
    assert (report.platforms, len(report.outcomes), report.left_behind, report.obstacles) == (1, 500, (), ())
    assert {outcome.latest_s for outcome in report.outcomes} <= {300.0, 900.0}


def test_who_would_be_left_behind_is_named_with_the_reason() -> None:
    peers = [
        told("here"), told("ours", trust_mode="hierarchical", spawn_role="parent"), told("back-in-time", 2 * HOUR_S),
        told("gone", 8 * DAY_S), told("paused", status="suspended"), told("proposed", status="proposed", trust_mode="none"),
    ]  # fmt: skip
    report = rehearse({"peers": peers}, now=NOW, overlap_days=7, seeds=[1])
    why = {outcome.id: outcome.why for outcome in report.outcomes}
    assert [id for id, reason in why.items() if reason is not None] == ["gone", "paused"]
    assert "silent for 8.0 days" in str(why["gone"])
    assert "resume it" in str(why["paused"])
    assert report.set_aside == ("proposed",)
    assert next(outcome.latest_s for outcome in report.outcomes if outcome.id == "back-in-time") == 300.0


def test_what_would_keep_the_rotation_from_beginning_is_an_obstacle() -> None:
    peers = [told("a", token_expires_at=iso(NOW + 9 * DAY_S)), told("b", progress="must_approve")]
    report = rehearse({"rotating": True, "peers": peers}, now=NOW, overlap_days=7, seeds=[])
    assert [each.split(":")[0] for each in report.obstacles] == [
        "a rotation is under way already", "peers have not followed the last rotation", "open tokens outlive the overlap",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "there is no list of `peers`"),
        ({"peers": "no"}, "there is no list of `peers`"),
        ({"peers": [7]}, r"peers\[0\] is no object"),
        ({"peers": [told("a"), {"id": "b", "status": 7}]}, r"peers\[1\] lacks remote_instance_url, status, trust_mode"),
        ({"peers": [told("a", last_heartbeat_at="yesterday")]}, r"peers\[0\]: "),
    ],
)
def test_what_tells_of_no_peers_is_refused_with_its_place(given: Any, text: str) -> None:
    with pytest.raises(Untold, match=text):
        read_peers(given, NOW)


@pytest.mark.parametrize(("asked", "played"), [((), 2.5), (("--overlap", "4d"), 4)])
def test_the_platforms_own_overlap_is_played_unless_another_is_asked_for(asked: tuple[str, ...], played: float) -> None:
    shown = json.dumps({"overlap_days": 2.5, "peers": []})
    result = CliRunner().invoke(sim, ["rehearse", "--seeds", "1", "--json", *asked], input=shown)
    assert json.loads(result.stdout)["overlap_days"] == played


def test_a_platform_tells_its_own_overlap() -> None:
    reply = World(1).platform("a", anchor_overlap_s=36 * HOUR_S).sign_in().call("GET", "/api/v1/system/platform/trust/rotation")
    assert reply is not None
    assert overlap_told(reply.data["rotation"]) == 1.5


@pytest.mark.parametrize("days", [0, 31, "7", True, None])
def test_an_overlap_that_no_platform_has_is_refused(days: Any) -> None:
    result = CliRunner().invoke(sim, ["rehearse", "--json"], input=json.dumps({"overlap_days": days, "peers": []}))
    assert (result.exit_code, "overlap_days" in result.output) == (2, True)


def test_how_far_it_is_is_told_from_the_beginning_to_the_end() -> None:
    shares: list[float] = []
    rehearse({"peers": [told("a")]}, now=NOW, overlap_days=7, seeds=[1, 2], watch=shares.append)
    assert len(shares) > 100
    assert min(shares) < 0.01
    assert max(shares) > 0.99
    assert all(later >= sooner - 0.01 for sooner, later in itertools.pairwise(shares))


def test_the_command_reads_what_the_status_prints() -> None:
    shown = json.dumps({"peers": [told("a")]})
    result = CliRunner().invoke(sim, ["rehearse", "--seeds", "1", "--json"], input=shown)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["left_behind"] == 0
    assert json.loads(result.stdout)["overlap_days"] == 7
    behind = CliRunner().invoke(sim, ["rehearse", "--seeds", "1", "--overlap", "1d"], input=json.dumps({"rotating": True, "peers": []}))
    assert (behind.exit_code, "under way" in behind.output) == (1, True)
    assert CliRunner().invoke(sim, ["rehearse"], input="no").exit_code == 2
    assert CliRunner().invoke(sim, ["rehearse"], input="[]").exit_code == 2
