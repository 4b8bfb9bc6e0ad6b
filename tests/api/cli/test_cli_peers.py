"""`powernode peers`: what is asked of the daemon, what is printed, and what the exit code says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.clock import iso
from tests.support.operator_api import OTHER_ID, PEER_ID, WALL, OperatorApi, Run, granted, lines, listing, peer, refused

INVITATION = "pn1.eyJhIjoiYiJ9.AAAA"
BARE_TOKEN = "A" * 43 + "." + "B" * 22
MINTED = {"acceptance_token": BARE_TOKEN, "invitation": INVITATION, "ca_fingerprint": "sha256:" + "0" * 64}


# --- Looking --------------------------------------------------------------------------------------------------------


def test_a_list_is_a_table_for_people(api: OperatorApi, run: Run) -> None:
    api.answers["list_peers"] = listing(
        [
            peer(status_since=iso(WALL - 90), last_heartbeat_at=iso(WALL - 5)),
            peer(id=OTHER_ID, status="proposed", trust_status="none", acceptance_pending=True, acceptance_expires_at=iso(WALL + 3600)),
        ]
    )
    result = run("peers", "list")
    assert result.exit_code == 0
    # fmt: off
    assert result.stdout.splitlines() == [
        "ID                                    PLATFORM                        STATUS    SINCE       TRUST        HEARTBEAT  NOTE",
        "0190e1c4-0000-7000-8000-000000000001  https://platform-b.example.com  active    1m 30s ago  established  5s ago",
        "0190e1c4-1111-7000-8000-000000000002  https://platform-b.example.com  proposed  -           none         -          token ends in 1h",  # noqa: E501
    ]
    # fmt: on


def test_a_list_is_one_json_object_per_line_for_programs(api: OperatorApi, run: Run) -> None:
    api.answers["list_peers"] = listing([peer(), peer(id=OTHER_ID)])
    assert list(lines(run("peers", "list", "--json"))) == [peer(), peer(id=OTHER_ID)]


def test_all_pages_are_read_and_filters_are_sent(api: OperatorApi, run: Run) -> None:
    api.answers["list_peers"] = [listing([peer()], next_cursor="c1"), listing([peer(id=OTHER_ID)], next_cursor=None)]
    result = run("peers", "list", "--json", "--status", "active,degraded", "--role", "symmetric", "--mode", "out_of_band")
    assert [row["id"] for row in lines(result)] == [PEER_ID, OTHER_ID]
    assert [request.query.get("cursor") for request in api.requests] == [None, "c1"]
    assert api.requests[1].query["status"] == "active,degraded"


def test_a_limit_ends_the_reading(api: OperatorApi, run: Run) -> None:
    api.answers["list_peers"] = listing([peer(), peer(id=OTHER_ID)], next_cursor="more")
    assert len(list(lines(run("peers", "list", "--json", "--limit", "2")))) == 2
    assert len(api.requests) == 1


def test_an_empty_list_says_how_to_begin(api: OperatorApi, run: Run) -> None:
    api.answers["list_peers"] = listing([])
    result = run("peers", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "powernode peers invite" in result.stderr


@pytest.mark.parametrize("name", [PEER_ID, PEER_ID.upper(), "0190e1c4-0000", "https://Platform-B.example.com/", "platform-b.example.com"])
def test_a_peer_is_found_by_what_people_call_it(api: OperatorApi, run: Run, name: str) -> None:
    api.answers["list_peers"] = listing([peer(), peer(id=OTHER_ID, remote_instance_url="https://c.example.com")])
    api.answers["get_peer"] = granted({"peer": peer()})
    assert json.loads(run("peers", "show", name, "--json").stdout) == peer()
    assert api.named("get_peer")[0].path.endswith(PEER_ID)


def test_a_revoked_peering_gives_way_to_the_present_one(api: OperatorApi, run: Run) -> None:
    api.answers["list_peers"] = listing([peer(), peer(id=OTHER_ID, status="revoked")])
    api.answers["get_peer"] = granted({"peer": peer()})
    assert run("peers", "show", "platform-b.example.com").exit_code == 0
    assert api.named("get_peer")[0].path.endswith(PEER_ID)


def test_an_ambiguous_name_lists_the_candidates(api: OperatorApi, run: Run) -> None:
    api.answers["list_peers"] = listing([peer(), peer(id=OTHER_ID)])
    result = run("peers", "show", "0190e1c4")
    assert result.exit_code == 2
    assert PEER_ID in result.stderr
    assert OTHER_ID in result.stderr


def test_an_unknown_name_is_not_found(api: OperatorApi, run: Run) -> None:
    api.answers["list_peers"] = listing([peer()])
    result = run("peers", "show", "nobody")
    assert result.exit_code == 4
    assert "powernode peers list" in result.stderr


def test_words_of_a_remote_cannot_steer_the_terminal(api: OperatorApi, run: Run) -> None:
    hostile = "\x1b]0;owned\x07\u202eevil[bold]"
    api.answers["list_peers"] = listing([peer(status_reason=hostile)])
    api.answers["get_peer"] = granted({"peer": peer(status_reason=hostile, open_findings=[{"message": hostile}])})
    for result in (run("peers", "list"), run("peers", "show", PEER_ID)):
        assert "\x1b" not in result.output
        assert "\u202e" not in result.output
        assert r"\x1b]0;owned\x07\u202eevil[bold]" in result.output


def test_a_probe_that_reaches_nothing_exits_with_6(api: OperatorApi, run: Run) -> None:
    probed = [{"url": "https://b.example.com", "reachable": False, "elapsed_ms": None, "error": "refused"}]
    api.answers["probe_peer"] = granted({"ok": False, "endpoint": None, "probed": probed})
    result = run("peers", "probe", PEER_ID)
    assert result.exit_code == 6
    assert result.stdout.splitlines() == [
        "URL                    REACHABLE  ELAPSED_MS  ERROR",
        "https://b.example.com  no                     refused",
        "not reachable",
    ]
    assert run("peers", "probe", PEER_ID, "--json").exit_code == 6


def test_the_audit_trail_is_read_on_behind_the_last_number(api: OperatorApi, run: Run) -> None:
    entry = {"sequence": 1, "at": "t", "action": "peer.proposed", "actor": {}, "payload": {}, "hash": "abcdef0123456789"}
    api.answers["list_peer_audit_log"] = [
        listing([entry], next_after_sequence=1),
        listing([{**entry, "sequence": 2}], next_after_sequence=None),
    ]
    assert [row["sequence"] for row in lines(run("peers", "audit", PEER_ID, "--json"))] == [1, 2]
    assert [request.query["after_sequence"] for request in api.requests] == ["0", "1"]


def test_heartbeat_and_trust_are_told(api: OperatorApi, run: Run) -> None:
    api.answers["send_heartbeat"] = granted({"peer": peer()})
    api.answers["get_peer_trust"] = granted({"trust": {"mode": "symmetric", "anchors": []}})
    assert run("peers", "heartbeat", PEER_ID).stdout == "https://platform-b.example.com answered; the peer is active\n"
    assert run("peers", "trust", PEER_ID).stdout == "mode     symmetric\nanchors  -\n"
    assert run("peers", "trust", PEER_ID, "--json").stdout == '{"mode": "symmetric", "anchors": []}\n'


# --- Pairing --------------------------------------------------------------------------------------------------------


def test_inviting_prints_the_invitation_alone_on_standard_output(api: OperatorApi, run: Run) -> None:
    expires = iso(WALL + 3600)
    api.answers["propose_peer"] = granted({"peer": peer(status="proposed", acceptance_expires_at=expires), **MINTED})
    result = run(
        "peers", "invite", "https://platform-b.example.com", "--ttl", "1h", "--metadata", "site=north", "--metadata", "racks=3",
        "--endpoint", "https://10.0.0.1:8443,scope=lan,priority=10,cidr=10.0.0.0/8",
        "--endpoint", "https://b.example.com,via=https://h.example.com:8443,via=https://k.example.com",
    )  # fmt: skip
    assert result.exit_code == 0
    assert result.stdout == INVITATION + "\n"
    assert f"ends in 1h ({expires})" in result.stderr
    assert f"powernode peers wait {PEER_ID}" in result.stderr
    assert api.requests[0].body == {
        "remote_instance_url": "https://platform-b.example.com",
        "token_ttl_seconds": 3600,
        "endpoints": [
            {"url": "https://10.0.0.1:8443", "scope": "lan", "priority": 10, "cidr_hint": "10.0.0.0/8"},
            {"url": "https://b.example.com", "via": ["https://h.example.com:8443", "https://k.example.com"]},
        ],
        "metadata": {"site": "north", "racks": 3},
    }


def test_inviting_in_json_gives_the_whole_answer(api: OperatorApi, run: Run) -> None:
    data = {"peer": peer(status="proposed"), **MINTED}
    api.answers["propose_peer"] = granted(data)
    assert list(lines(run("peers", "invite", "https://platform-b.example.com", "--json"))) == [data]


@pytest.mark.parametrize(
    "arguments",
    [
        ("http://platform-b.example.com",),
        ("https://b.example.com", "--ttl", "soon"),
        ("https://b.example.com", "--endpoint", "https://c,colour=red"),
        ("https://b.example.com", "--endpoint", "https://c,priority=first"),
        ("https://b.example.com", "--metadata", "novalue"),
        (),
    ],
)
def test_a_wrong_invite_is_refused_before_anything_is_sent(api: OperatorApi, run: Run, arguments: tuple[str, ...]) -> None:
    assert run("peers", "invite", *arguments).exit_code == 2
    assert api.requests == []


def test_regenerating_prints_the_new_invitation(api: OperatorApi, run: Run) -> None:
    api.answers["regenerate_acceptance_token"] = granted({**MINTED, "acceptance_expires_at": iso(WALL + 60)})
    assert run("peers", "regenerate", PEER_ID, "--ttl", "60").stdout == INVITATION + "\n"
    assert api.requests[0].body == {"token_ttl_seconds": 60}


def test_an_invitation_comes_from_a_file_from_standard_input_or_from_a_prompt(api: OperatorApi, run: Run, tmp_path: Path) -> None:
    api.answers["accept_invitation"] = granted({"peer": peer(status="accepted"), "warnings": [{"message": "look here"}]})
    file = tmp_path / "invitation"
    file.write_text(f"  {INVITATION}\n")
    results = [
        run("peers", "accept", str(file)),
        run("peers", "accept", "--file", str(file)),
        run("peers", "accept", "-", input=INVITATION + "\n"),
    ]
    api.interactive = True
    results.append(run("peers", "accept", input=INVITATION + "\n"))
    for result in results:
        assert result.exit_code == 0, result.output
        assert result.stdout == f"https://platform-b.example.com is accepted as peer {PEER_ID}\n"
        assert "warning: look here" in result.stderr
        assert INVITATION not in result.output
    assert [request.body for request in api.requests] == [{"invitation": INVITATION}] * 4


def test_a_child_says_what_part_it_takes(api: OperatorApi, run: Run) -> None:
    api.answers["accept_invitation"] = granted({"peer": peer(status="accepted"), "warnings": []})
    assert run("peers", "accept", "-", "--role", "child", "--mode", "managed_child", input=INVITATION).exit_code == 0
    assert api.requests[0].body == {"invitation": INVITATION, "spawn_role": "child", "spawn_mode": "managed_child"}
    refused = run("peers", "accept", "--peer", PEER_ID, "-", "--role", "child", input=BARE_TOKEN)
    assert (refused.exit_code, len(api.requests)) == (2, 1)


def test_a_bare_token_goes_with_a_peer(api: OperatorApi, run: Run) -> None:
    api.answers["accept_peer"] = granted({"peer": peer(status="accepted"), "warnings": []})
    result = run("peers", "accept", "--peer", PEER_ID, "-", "--contract-version", "1", input=BARE_TOKEN)
    assert result.exit_code == 0
    assert api.requests[0].body == {"acceptance_token": BARE_TOKEN, "contract_version": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        ("accept", INVITATION),
        ("accept", "-", INVITATION),
        ("accept", INVITATION, INVITATION),
        ("accept", "--file", INVITATION),
        ("accept", "--peer", PEER_ID, BARE_TOKEN),
        ("accept", INVITATION[1:]),
        ("accept", "--peer", PEER_ID, BARE_TOKEN + "x"),
        ("show", PEER_ID, BARE_TOKEN),
        ("cancel", PEER_ID, INVITATION),
    ],
)
def test_a_secret_in_an_argument_is_refused_and_never_repeated(api: OperatorApi, run: Run, arguments: tuple[str, ...]) -> None:
    result = run("peers", *arguments)
    assert result.exit_code == 2
    assert INVITATION[1:] not in result.output
    assert BARE_TOKEN not in result.output
    assert api.requests == []


def test_the_refusal_of_a_secret_argument_says_why(run: Run) -> None:
    result = run("peers", "accept", INVITATION)
    assert "`ps` and the shell's history show it" in result.stderr
    assert "made anew" in result.stderr


def test_without_a_terminal_nobody_is_asked(api: OperatorApi, run: Run) -> None:
    result = run("peers", "accept")
    assert result.exit_code == 2
    assert "- to read standard input" in result.stderr


def test_an_update_sends_the_etag_that_it_has_just_read(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = granted({"peer": peer()}, etag='"7"')
    api.answers["update_peer"] = granted({"peer": peer(overlay_only=True)})
    result = run("peers", "update", PEER_ID, "--metadata", "site=null", "--overlay-only", "--expires-at", "never", "--json")
    assert json.loads(result.stdout)["overlay_only"] is True
    sent = api.named("update_peer")[0]
    assert sent.headers["if-match"] == '"7"'
    assert sent.body == {"metadata": {"site": None}, "overlay_only": True, "expires_at": None}


def test_a_lost_race_exits_with_5_and_says_what_to_do(api: OperatorApi, run: Run) -> None:
    api.answers["update_peer"] = refused(409, "version_conflict")
    result = run("peers", "update", PEER_ID, "--residency", "-", "--if-match", '"1"')
    assert result.exit_code == 5
    assert "repeat the update" in result.stderr
    assert api.requests[0].body == {"data_residency": None}


def test_residency_waits_for_approval_and_is_given_by_itself(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = granted({"peer": peer()}, etag='"7"')
    waiting = {"pending": True, "deferred_operation_id": PEER_ID, "approval_request_id": PEER_ID, "expires_at": "2030-01-01T00:00:00Z"}
    api.answers["update_peer"] = granted(waiting)
    result = run("peers", "update", PEER_ID, "--residency", "EU")
    assert result.exit_code == 0
    assert "nothing has been done yet" in result.stdout
    assert api.named("update_peer")[0].body == {"data_residency": "EU"}
    assert json.loads(run("peers", "update", PEER_ID, "--residency", "EU", "--json").stdout) == waiting
    asked = len(api.requests)
    mixed = run("peers", "update", PEER_ID, "--residency", "EU", "--no-endpoints")
    assert (mixed.exit_code, len(api.requests)) == (2, asked)


def test_an_update_of_nothing_is_a_usage_error(api: OperatorApi, run: Run) -> None:
    assert run("peers", "update", PEER_ID).exit_code == 2
    assert api.requests == []


def test_cancelling_sends_the_reason(api: OperatorApi, run: Run) -> None:
    api.answers["cancel_peer"] = granted({"peer": peer(status="revoked")})
    assert run("peers", "cancel", PEER_ID, "--reason", "typo").stdout == "the proposal to https://platform-b.example.com is withdrawn\n"
    assert api.requests[0].body == {"reason": "typo"}
