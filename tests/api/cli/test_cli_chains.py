"""`powernode migrations chains`: what is sent, and what is said."""

from __future__ import annotations

from typing import Any

from tests.support.operator_api import OTHER_ID, PEER_ID, OperatorApi, Run, granted, lines, listing, peer

CHAIN_ID = "0190e1c4-9999-7000-8000-00000000000a"
MODULE_ID = "0190e1c4-3333-7000-8000-000000000004"
CHAIN: dict[str, Any] = {
    "id": CHAIN_ID, "status": "in_flight", "root_resource_kind": "NodeModule", "root_resource_id": MODULE_ID, "current_hop_index": 1,
    "total_hops": 2, "hop_peer_ids": [PEER_ID, OTHER_ID], "audit_log": [], "updated_at": "2026-05-17T13:45:12Z",
    "holder": {"position": 1, "peer_id": PEER_ID, "certain": True, "or_peer_id": None},
    "waits_for": "the approval of the holder's operators, until 2026-05-17T17:45:12Z",
}  # fmt: skip


def one(**changes: Any) -> Any:
    return granted({"migration_chain": {**CHAIN, **changes}})


def test_a_plan_names_every_platform_in_order(api: OperatorApi, run: Run) -> None:
    api.answers |= {"get_peer": granted({"peer": peer()}), "plan_migration_chain": one(status="planned", current_hop_index=0)}
    result = run("migrations", "chains", "plan", "NodeModule", MODULE_ID, PEER_ID, OTHER_ID, "--copy")
    assert result.exit_code == 0, result.output
    body = api.requests[-1].body
    assert (body["hop_peer_ids"], body["operation"], body["root_resource_id"]) == ([PEER_ID, OTHER_ID], "duplicate", MODULE_ID)
    assert run("migrations", "chains", "plan", "NodeModule", MODULE_ID).exit_code == 2


def test_it_is_said_who_holds_the_resource_and_what_comes_next(api: OperatorApi, run: Run) -> None:
    api.answers |= {"get_migration_chain": one(), "list_migration_chains": listing([CHAIN])}
    shown = run("migrations", "chains", "show", CHAIN_ID).output
    assert f"1 of 2 hops done; the peer {PEER_ID} holds it; waits for the approval of the holder's operators" in shown
    assert "1/2" in run("migrations", "chains", "list").output
    assert list(lines(run("migrations", "chains", "show", CHAIN_ID, "--json"))) == [CHAIN]


def test_what_only_the_holder_knows_is_not_claimed(api: OperatorApi, run: Run) -> None:
    unsure = {"position": 1, "peer_id": PEER_ID, "certain": False, "or_peer_id": OTHER_ID}
    api.answers["get_migration_chain"] = one(status="failed", error="peer_revoked", holder=unsure)
    shown = run("migrations", "chains", "show", CHAIN_ID).output
    assert f"or the peer {OTHER_ID}: only its holder knows" in shown
    assert "perhaps" in shown


def test_who_refuses_is_told_by_url(api: OperatorApi, run: Run) -> None:
    urls = {"hop_urls": ["https://b.example.com", "https://c.example.com"], "refused_by_peer_id": PEER_ID}
    holder = {"position": 1, "peer_id": PEER_ID, "url": "https://b.example.com", "certain": True}
    api.answers["get_migration_chain"] = one(status="failed", error="no_received_grant", holder=holder, **urls)
    shown = run("migrations", "chains", "show", CHAIN_ID).output
    assert "https://b.example.com holds it; https://b.example.com says: no_received_grant" in shown
    api.answers["get_migration_chain"] = one(status="failed", error="no_received_grant", holder=holder, refused_by_peer_id=None)
    assert "this platform found: no_received_grant" in run("migrations", "chains", "show", CHAIN_ID).output


def test_every_act_is_said(api: OperatorApi, run: Run) -> None:
    for act in ("run", "advance", "retry", "cancel"):
        api.answers[f"{act}_migration_chain"] = one()
        result = run("migrations", "chains", act, CHAIN_ID)
        assert result.exit_code == 0, result.output
        assert "the chain is in_flight: 1 of 2 hops done" in result.output
