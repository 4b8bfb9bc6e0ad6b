"""The acceptance token under attack, over real sockets: it opens once, and refusals of it tell nothing apart.

That an expired token answers like the others is shown at the door with a clock that can be turned, since no token lives less than a minute.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runtime.clock import SystemClock
from runtime.secret import Secret
from tests.support.certificates import make_ca
from tests.support.daemons import PATIENCE_S, PEERS, Daemon, Reply, daemons
from tests.support.federation import pair
from tests.support.tls_client import FEDERATION_API, accept_body, connected, until_limited

pytestmark = pytest.mark.e2e

CALLERS = 100
QUIET = """\
heartbeat_interval = "1h"
stale_after = "3h"
heartbeat.eager = false
"""
OPEN = (
    QUIET
    + "accept_block_after = 1000000\n"
    + "".join(
        f"[federation.rate_limits.{name}]\nrate = 100000\nburst = 100000\n"
        for name in ("accept_per_source", "accept_overall", "propose_per_operator")
    )
)
OWN_HEADERS = ("date", "x-request-id")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemons(tmp_path_factory.mktemp("races"), "a", more=OPEN) as (made,):
        yield made


def proposed(daemon: Daemon) -> tuple[str, str]:
    """A new peer at an address of its own, and its token."""
    reply = daemon.call("POST", PEERS, {"remote_instance_url": f"https://{uuid.uuid4()}.example"})
    assert reply.status == 201, reply.body
    return reply.data["peer"]["id"], reply.data["acceptance_token"]


def accept(daemon: Daemon, body: Any) -> Reply:
    with connected(daemon.public_url) as caller:
        return caller.request("POST", f"{FEDERATION_API}/accept", body)


def platform(label: str) -> dict[str, Any]:
    """What a platform of its own sends besides the token."""
    return {
        "handshake_id": str(uuid.uuid4()),
        "peer_ca_bundle_pem": make_ca(label, now=SystemClock().wall()).pem,
        "caller_inbound_subject": f"fed:{uuid.uuid4()}",
        "instance": {"id": str(uuid.uuid4()), "url": f"https://{label}.example"},
    }


def refusal(reply: Reply) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Everything in a refusal but what names the very request."""
    headers = {name: value for name, value in reply.headers.items() if name not in OWN_HEADERS}
    return reply.status, headers, {**reply.body, "request_id": None}


def test_a_hundred_callers_with_one_token_and_one_gets_in(daemon: Daemon) -> None:
    peer_id, token = proposed(daemon)
    start = threading.Barrier(CALLERS)
    bodies = [accept_body(token, **platform(f"caller-{number}")) for number in range(CALLERS)]

    def call(body: dict[str, Any]) -> Reply:
        with connected(daemon.public_url) as caller:
            start.wait(PATIENCE_S)
            return caller.request("POST", f"{FEDERATION_API}/accept", body)

    with ThreadPoolExecutor(CALLERS) as pool:
        replies = list(pool.map(call, bodies))
    assert sorted(reply.status for reply in replies) == [200] + [401] * (CALLERS - 1)
    assert {reply.body["code"] for reply in replies if reply.status == 401} == {"acceptance_token_invalid"}
    winner = next(body for body, reply in zip(bodies, replies, strict=True) if reply.status == 200)
    shown = daemon.call("GET", f"{PEERS}/{peer_id}").data["peer"]
    assert (shown["status"], shown["remote_instance_id"]) == ("accepted", winner["instance"]["id"])
    assert daemon.statuses(peer_id) == ["proposed", "accepted"]


def test_the_winner_may_ask_again_and_gets_the_same_answer(daemon: Daemon) -> None:
    _, token = proposed(daemon)
    body = accept_body(token, **platform("again"))
    first, second = accept(daemon, body), accept(daemon, body)
    assert (first.status, second.status) == (200, 200)
    assert second.data == {**first.data, "replayed": True}
    assert accept(daemon, {**body, "handshake_id": str(uuid.uuid4())}).status == 401


def test_refused_tokens_cannot_be_told_apart(daemon: Daemon) -> None:
    _, spent = proposed(daemon)
    assert accept(daemon, accept_body(spent, **platform("spends"))).status == 200
    cancelled_peer, cancelled = proposed(daemon)
    assert daemon.call("POST", f"{PEERS}/{cancelled_peer}/cancel", {}).status == 200
    replaced_peer, replaced = proposed(daemon)
    assert daemon.call("POST", f"{PEERS}/{replaced_peer}/acceptance_token", {}).status == 201
    _, open_token = proposed(daemon)
    secret, _, pin = open_token.partition(".")
    tokens = {
        "spent": spent,
        "cancelled": cancelled,
        "replaced": replaced,
        "unknown": f"{'A' * 43}.{pin}",
        "without its pin": secret,
        "no token at all": "x",
        "not even text of one": "\u2603" * 8,
    }
    refusals = {name: refusal(accept(daemon, accept_body(token, **platform("tries")))) for name, token in tokens.items()}
    first = refusals["spent"]
    assert first[0] == 401
    assert first[2]["code"] == "acceptance_token_invalid"
    for name, found in refusals.items():
        assert found == first, name
    assert accept(daemon, accept_body(open_token, **platform("at-last"))).status == 200


@pytest.mark.parametrize("swept", [False, True], ids=["still stored", "swept away"])
def test_an_expired_token_answers_like_an_unknown_one(swept: bool) -> None:
    two = pair()
    token = two.a.regenerate(two.at_a.peer_id, 60)
    two.network.clock.advance(61.0)
    if swept:
        two.network.run()
    answers = []
    for secret in (token, Secret("A" * 43)):
        answered = two.a.redeem(secret, two.b)
        two.network.run()
        answers.append(refusal(Reply(answered[0].status, answered[0].body, answered[0].headers)))
    expired, unknown = answers
    assert expired[0] == 401
    assert expired == unknown


def test_by_default_one_source_gets_five_accepts_at_once(tmp_path: Path) -> None:
    with daemons(tmp_path, "a", more=QUIET) as (daemon,):
        # A wrong contract is refused without being a failed token, so that nothing but the rate limit counts.
        served, refused = until_limited(lambda: accept(daemon, accept_body("x" * 43, contract_version=99)), 5, 6.0)
        assert {reply.status for reply in served} == {422}
        assert refused.body["code"] == "rate_limited"
        assert 1 <= int(refused.headers["retry-after"]) <= 6


def test_five_wrong_tokens_in_a_row_keep_a_source_out_even_with_the_right_one(tmp_path: Path) -> None:
    rates = "[federation.rate_limits.accept_per_source]\nrate = 100000\nburst = 100000\n"
    with daemons(tmp_path, "a", more=QUIET + rates) as (daemon,):
        _, token = proposed(daemon)
        for _ in range(4):
            assert accept(daemon, accept_body("x" * 43)).status == 401
        assert accept(daemon, accept_body(token, **platform("right"))).status == 200
        # A success ends the row of failures.
        _, another = proposed(daemon)
        assert [accept(daemon, accept_body("x" * 43)).status for _ in range(5)] == [401] * 5
        blocked = accept(daemon, accept_body(another, **platform("late")))
        assert (blocked.status, blocked.body["code"]) == (429, "rate_limited")
        assert 800 < int(blocked.headers["retry-after"]) <= 900
