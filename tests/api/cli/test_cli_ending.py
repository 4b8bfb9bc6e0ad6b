"""`powernode peers suspend`, `resume` and `revoke`: what is asked first, what is sent, what is said."""

from __future__ import annotations

import json

import pytest

from api.cli.warning_words import in_words
from tests.support.operator_api import PEER_ID, OperatorApi, Run, granted, peer, refused


@pytest.fixture(autouse=True)
def known(api: OperatorApi) -> None:
    api.answers["get_peer"] = granted({"peer": peer()})


@pytest.mark.parametrize(
    ("command", "route", "status", "said"),
    [
        (("suspend", "--yes"), "suspend_peer", "suspended", "https://platform-b.example.com is suspended"),
        (("resume",), "resume_peer", "enrolled", "https://platform-b.example.com is enrolled"),
        (("revoke", "--yes"), "revoke_peer", "revoked", "the peering with https://platform-b.example.com has ended"),
        (
            ("emancipate", "--yes"),
            "emancipate",
            "active",
            "https://platform-b.example.com operates this platform no more; the peering is active",
        ),
    ],
)
def test_a_command_does_what_it_says(api: OperatorApi, run: Run, command: tuple[str, ...], route: str, status: str, said: str) -> None:
    verb, *options = command
    api.answers[route] = granted({"peer": peer(status=status)})
    result = run("peers", verb, PEER_ID, "--reason", "so it was agreed", *options)
    assert (result.exit_code, result.stdout.strip()) == (0, said)
    (request,) = api.named(route)
    assert request.body == {"reason": "so it was agreed"}
    api.answers[route] = granted({"peer": peer(status=status)})
    assert json.loads(run("peers", verb, PEER_ID, "--json", *options).stdout) == peer(status=status)


@pytest.mark.parametrize(("verb", "route"), [("suspend", "suspend_peer"), ("revoke", "revoke_peer"), ("emancipate", "emancipate")])
def test_what_stops_something_is_not_done_unasked(api: OperatorApi, run: Run, verb: str, route: str) -> None:
    result = run("peers", verb, PEER_ID)
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert not api.named(route)


def test_an_immediate_end_is_said_to_the_daemon(api: OperatorApi, run: Run) -> None:
    api.answers["revoke_peer"] = granted({"peer": peer(status="revoked", notification_pending=False)})
    result = run("peers", "revoke", PEER_ID, "--immediate", "--yes")
    assert api.named("revoke_peer")[0].body == {"immediate": True}
    assert result.stderr == ""


def test_a_pending_notice_and_a_pending_proof_are_mentioned(api: OperatorApi, run: Run) -> None:
    api.answers["revoke_peer"] = granted({"peer": peer(status="revoked", notification_pending=True)})
    assert "being told" in run("peers", "revoke", PEER_ID, "--yes").stderr
    api.answers["resume_peer"] = granted({"peer": peer(status="accepted")})
    assert "powernode peers wait" in run("peers", "resume", PEER_ID).stderr


def test_a_refusal_is_told_with_its_code(api: OperatorApi, run: Run) -> None:
    api.answers["revoke_peer"] = refused(409, "already_revoked")
    result = run("peers", "revoke", PEER_ID, "--yes")
    assert result.exit_code != 0
    assert "already_revoked" in result.stderr


SHOWN = {
    "frozen": True,
    "cause": "echo",
    "closing": False,
    "boot_epoch": 2,
    "claimed_epoch": 4,
    "claimants": [PEER_ID],
    "restart_needed": False,
}


def test_frozen_trust_is_shown_with_the_way_on(api: OperatorApi, run: Run) -> None:
    api.answers["get_continuity"] = granted(SHOWN)
    result = run("trust", "show")
    assert result.stdout.startswith("trust is frozen")
    assert "powernode trust unfreeze" in result.stderr
    api.answers["get_continuity"] = granted(SHOWN)
    assert json.loads(run("trust", "show", "--json").stdout) == SHOWN


def test_the_decision_is_sent_as_it_is_said(api: OperatorApi, run: Run) -> None:
    after = {**SHOWN, "frozen": False, "cause": None, "restart_needed": True}
    for options, body in (
        (("--restored", "--keep-peerings"), {"decision": "restored", "keep_peerings": True}),
        (("--not-restored",), {"decision": "not_restored"}),
    ):
        api.answers["unfreeze_trust"] = granted(after)
        result = run("trust", "unfreeze", *options, "--yes")
        assert result.exit_code == 0
        assert api.named("unfreeze_trust")[-1].body == body
        assert "Restart the daemon" in result.stderr


@pytest.mark.parametrize("options", [(), ("--not-restored", "--keep-grants", "--yes"), ("--restored",)])
def test_a_decision_is_not_taken_by_halves(api: OperatorApi, run: Run, options: tuple[str, ...]) -> None:
    assert run("trust", "unfreeze", *options).exit_code == 2
    assert not api.named("unfreeze_trust")


def test_a_parent_is_entrusted_anew_and_the_bearer_is_shown_only_if_it_was_not_handed_over(api: OperatorApi, run: Run) -> None:
    told = {"grant": {"id": "0199", "expires_at": "2027-11-26T00:00:00Z"}, "bearer_token": None, "delivered": True, "warnings": []}
    api.answers["entrust_parent"] = granted(told)
    result = run("peers", "entrust", PEER_ID)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "handed to the peer" in result.stderr
    api.answers["entrust_parent"] = granted({**told, "bearer_token": "fg-0199.secret", "delivered": False, "warnings": ["not_delivered:x"]})
    result = run("peers", "entrust", PEER_ID)
    assert result.stdout.strip() == "fg-0199.secret"
    assert "not_delivered:x" in result.stderr


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"notification_pending": True}, "is still being told"),
        (
            {"metadata": {"notification_undelivered_at": "2031-01-31T12:00:00Z"}, "operator_contact": "ops@b.example"},
            "could not be told that the peering has ended: write to its operators (ops@b.example)",
        ),
        ({"metadata": {}}, ""),
    ],
)
def test_whether_the_remote_has_heard_of_the_end_is_said(api: OperatorApi, run: Run, more: dict[str, object], words: str) -> None:
    api.answers["get_peer"] = granted({"peer": peer(status="revoked") | more})
    result = run("peers", "show", PEER_ID)
    assert result.exit_code == 0
    assert words in result.stderr
    assert bool(words) == ("told" in result.stderr)


@pytest.mark.parametrize(
    ("warning", "words"),
    [
        ("no_active_bridge:0199-net", "no active bridge opens the network 0199-net to this peer"),
        ("delivery_unknown", "`powernode grants rotate` makes another one (delivery_unknown)"),
        ("something_new:x", "something_new:x"),
        ({"message": "look here"}, "look here"),
    ],
)
def test_a_warning_is_a_sentence(warning: object, words: str) -> None:
    assert words in in_words(warning)
