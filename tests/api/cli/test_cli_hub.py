"""`powernode hub`: what is sent, and what is said."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.operator_api import PEER_ID, OperatorApi, Run, granted, lines

HUB: dict[str, Any] = {
    "federation_peer_id": PEER_ID, "relaying": "permitted", "relayed": "never", "server_name": "b.example.org", "announced": True,
    "sources": [], "denied": [], "in_the_way": ["federation.hub.enabled", "no_channel"],
    "accounting": {"open": 1, "connections": 7, "bytes_to": 10, "bytes_from": 20, "refused": {"no_channel": 2, "source_denied": 1},
                   "handed_over": 0, "handed_over_failed": 0, "last_at": None},
}  # fmt: skip
OVERVIEW: dict[str, Any] = {"enabled": True, "own_name": "hub.example.org", "limits": {"connections": 256}, "denied": [], "peers": [HUB]}


def one(**changes: Any) -> Any:
    return granted({"hub": {**HUB, **changes}})


def test_the_overview_says_what_is_in_the_way_and_what_was_refused(api: OperatorApi, run: Run) -> None:
    api.answers["get_hub"] = granted(OVERVIEW)
    result = run("hub", "status")
    assert result.exit_code == 0, result.output
    assert "federation.hub.enabled, no_channel" in result.output
    (row,) = [line for line in result.output.splitlines() if PEER_ID[:8] in line]
    assert row.split()[-2:] == ["3", "-"]
    assert list(lines(run("hub", "status", "--json"))) == [OVERVIEW]
    api.answers["get_hub"] = granted({**OVERVIEW, "enabled": False, "peers": []})
    assert "powernode hub permit PEER" in run("hub", "status").output


def test_one_peer_is_shown_with_its_books(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer_hub"] = one()
    shown = run("hub", "show", PEER_ID)
    assert '{"no_channel": 2, "source_denied": 1}' in shown.output
    assert list(lines(run("hub", "show", PEER_ID, "--json"))) == [HUB]


def test_the_terms_of_a_permission_are_sent_as_they_were_given(api: OperatorApi, run: Run) -> None:
    api.answers["permit_relaying"] = one()
    words = "--connections 3 --new-connections 30 --rate 4096 --source 192.0.2.0/24 --deny 192.0.2.7 --deny 192.0.2.8 --reason ours"
    result = run("hub", "permit", PEER_ID, *words.split())
    assert result.exit_code == 0, result.output
    assert "powernode hub use" in result.stderr
    assert api.requests[-1].body == {
        "connections_max": 3,
        "new_connections_max": 30,
        "rate_bytes": 4096,
        "sources": ["192.0.2.0/24"],
        "denied": ["192.0.2.7", "192.0.2.8"],
        "reason": "ours",
    }
    run("hub", "permit", PEER_ID)
    assert api.requests[-1].body == {}


@pytest.mark.parametrize(("words", "announce"), [((), True), (("--not-announced",), False)])
def test_a_hub_is_announced_unless_told_otherwise(words: tuple[str, ...], announce: bool, api: OperatorApi, run: Run) -> None:
    api.answers["use_hub"] = one(relayed="permitted", announced=announce)
    result = run("hub", "use", PEER_ID, *words)
    assert result.exit_code == 0, result.output
    assert api.requests[-1].body == {"announce": announce}
    assert ("not told" in result.stderr) is not announce


@pytest.mark.parametrize(("word", "route"), [("withdraw", "withdraw_relaying"), ("leave", "leave_hub")])
def test_taking_a_word_back_is_asked_first(word: str, route: str, api: OperatorApi, run: Run) -> None:
    api.interactive = True
    api.answers[route] = one(relaying="withdrawn")
    assert run("hub", word, PEER_ID, input="n\n").exit_code != 0
    assert not api.named(route)
    assert run("hub", word, PEER_ID, "--yes", "--reason", "enough").exit_code == 0
    assert api.requests[-1].body == {"reason": "enough"}
