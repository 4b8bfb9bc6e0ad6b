"""Following events and waiting for a peer, in virtual time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.cli.event_stream import EventsRefused, Frame
from tests.support.operator_api import OTHER_ID, PEER_ID, OperatorApi, Run, TransportFailed, granted, lines, listing, peer, refused


def frame(cursor: int, kind: str = "federation.peer.active", peer_id: str = PEER_ID) -> Frame:
    payload = {"federation_peer_id": peer_id, "to": "active"}
    return {"cursor": cursor, "kind": kind, "severity": "low", "at": "2026-11-23T10:00:00.000Z", "payload": payload}


def shown(**changes: Any) -> Any:
    return granted({"peer": peer(**changes)})


# --- events watch ---------------------------------------------------------------------------------------------------


def test_a_lost_stream_goes_on_behind_the_last_event(api: OperatorApi, run: Run) -> None:
    api.streams = [[frame(5), frame(6)], [], [frame(7)]]
    result = run("events", "watch", "--cursor", "4", "--count", "3", "--json")
    assert result.exit_code == 0
    assert [row["cursor"] for row in lines(result)] == [5, 6, 7]
    assert api.cursors == [4, 6, 6]
    assert "connecting again in 1 s" in result.stderr
    assert "connecting again in 2 s" in result.stderr


def test_kinds_are_chosen_by_glob(api: OperatorApi, run: Run) -> None:
    api.streams = [[frame(1, "operator.created"), frame(2, "federation.peer.proposed"), frame(3, "federation.peer.active")]]
    result = run("events", "watch", "--kind", "federation.peer.*", "--count", "2")
    assert result.stdout.splitlines() == [
        f'2  2026-11-23T10:00:00.000Z  low       federation.peer.proposed  {PEER_ID}  {{"to": "active"}}',
        f'3  2026-11-23T10:00:00.000Z  low       federation.peer.active  {PEER_ID}  {{"to": "active"}}',
    ]


def test_a_daemon_that_is_away_from_the_start_is_unreachable(run: Run) -> None:
    assert run("events", "watch").exit_code == 6


def test_a_refused_stream_says_who_is_not_allowed(api: OperatorApi, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: OperatorApi, *arguments: object, **options: object) -> object:
        raise EventsRefused(403)

    monkeypatch.setattr(OperatorApi, "events", refuse)
    assert run("events", "watch").exit_code == 3


# --- peers wait -----------------------------------------------------------------------------------------------------


def test_waiting_ends_when_the_peer_is_there(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = [shown(status="proposed"), shown(status="accepted"), shown(status="accepted"), shown(status="active")]
    result = run("peers", "wait", PEER_ID, "--timeout", "1m")
    assert (result.exit_code, result.stdout) == (0, "active after 6s\n")
    assert [line.rpartition(" ")[2] for line in result.stderr.splitlines()] == ["proposed", "accepted", "active"]


def test_an_event_of_the_peer_ends_the_pause_at_once(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = [shown(status="accepted"), shown(status="active")]
    api.streams = [[frame(1, peer_id=OTHER_ID), frame(2)]]
    assert run("peers", "wait", PEER_ID).stdout == "active after 0s\n"


def test_a_later_status_has_passed_an_earlier_one(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = shown(status="active")
    assert run("peers", "wait", PEER_ID, "--for", "accepted").exit_code == 0


def test_a_wait_in_vain_says_why(api: OperatorApi, run: Run) -> None:
    finding = {
        "severity": "medium",
        "kind": "peer_heartbeat_stale",
        "message": "No heartbeat.",
        "federation_peer_id": PEER_ID,
        "payload": {},
    }
    api.answers["get_peer"] = shown(status="accepted", status_reason="no trust yet", status_since="2026-11-23T10:00:00.000Z")
    ended = {**finding, "message": "Long ago.", "resolved_at": "2026-11-23T10:00:00.000Z"}
    api.answers["list_governance_findings"] = listing([finding, ended])
    result = run("peers", "wait", PEER_ID, "--timeout", "30s")
    assert (result.exit_code, result.stdout) == (7, "")
    assert "still accepted after 30s, since 2026-11-23T10:00:00.000Z (no trust yet)" in result.stderr
    assert "medium: No heartbeat." in result.stderr
    assert "Long ago." not in result.stderr
    assert f"powernode peers probe {PEER_ID}" in result.stderr
    assert api.named("list_governance_findings")[0].query == {"peer_id": PEER_ID}


def test_a_wait_in_vain_in_json_holds_the_findings(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = shown(status="proposed")
    api.answers["list_governance_findings"] = listing([])
    result = run("peers", "wait", PEER_ID, "--timeout", "5", "--json")
    assert (result.exit_code, result.stderr) == (7, "")
    assert json.loads(result.stdout) == {"reached": False, "peer": peer(status="proposed"), "waited_s": 5.0, "findings": []}


def test_nobody_accepted_is_an_explanation(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = shown(status="proposed")
    api.answers["list_governance_findings"] = listing([])
    assert "nobody has accepted yet" in run("peers", "wait", PEER_ID, "--timeout", "1s").stderr


def test_a_revoked_peer_is_not_waited_for(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = [shown(status="active"), shown(status="revoked")]
    api.answers["list_governance_findings"] = listing([])
    result = run("peers", "wait", PEER_ID, "--for", "suspended", "--timeout", "1h")
    assert result.exit_code == 1
    assert "after 2s" in result.stderr


def test_a_daemon_that_is_away_for_a_moment_is_waited_for(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = [shown(status="accepted"), TransportFailed("unreachable", "restarting"), shown(status="active")]
    assert run("peers", "wait", PEER_ID).exit_code == 0


def test_a_peer_that_goes_missing_ends_the_wait(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = [shown(status="accepted"), refused(404, "not_found")]
    assert run("peers", "wait", PEER_ID).exit_code == 4
