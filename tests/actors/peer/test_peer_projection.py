"""How a peer reads: the derived status against its index predicate, and what is never shown."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.peer.lifecycle import STATUSES
from actors.peer.projection import derived_status, full, minted, status_conditions, summary, trust
from actors.peer.record import KIND, OutboundIdentity, PeerEvidence, PeerRecord
from runtime.store.port import Query, Row
from runtime.store.projection import evidence_columns, record_columns, satisfies
from tests.support.federation import pair

WALL = 1_800_000_000.0
ID = "0190c0de-3333-7000-8000-000000000001"


def row(status: Any, last_heartbeat_at: float | None) -> Row:
    record = PeerRecord(
        id=ID,
        account_id=ID,
        remote_instance_url="https://b.example",
        status=status,
        status_since=WALL - 1e6,
        created_at=WALL,
        updated_at=WALL,
    )
    return Row(record, None if last_heartbeat_at is None else PeerEvidence(last_heartbeat_at=last_heartbeat_at))


ages = st.one_of(st.none(), st.floats(-10.0, 1e6), st.sampled_from([300.0, 299.9999999, 300.0000001]))
walls = st.floats(1e9, 4e9)
subsets = st.lists(st.sampled_from(list(STATUSES)), min_size=1, unique=True)


@given(status=st.sampled_from(list(STATUSES)), age_s=ages, wall=walls, stale_after_s=st.floats(1.0, 1e5), wanted=subsets)
def test_the_index_predicate_equals_the_derived_status(
    status: str, age_s: float | None, wall: float, stale_after_s: float, wanted: list[str]
) -> None:
    stored = row(status, None if age_s is None else wall - age_s)
    reads_as = derived_status(stored.record, stored.evidence, wall, stale_after_s)[0]
    columns = {"id": ID, **record_columns(KIND, stored.record), **evidence_columns(KIND, stored.evidence)}
    found = satisfies(columns, Query(KIND.name, status_conditions(wanted, wall, stale_after_s)))
    assert found == (reads_as in wanted)


def test_a_stale_active_row_says_since_when_and_why() -> None:
    stored = row("active", WALL - 400.0)
    shown = summary(stored.record, stored.evidence, pair().a.settings, WALL)
    assert shown["status"] == "degraded"
    assert shown["status_since"] == "2027-01-15T07:58:20.000Z"
    assert "300 s" in shown["status_reason"]


def test_what_is_shown_is_json_and_holds_no_secret() -> None:
    two = pair()
    two.connect()
    record, evidence = two.a.record(two.at_a.peer_id), two.a.evidence(two.at_a.peer_id)
    assert record.outbound is not None
    assert record.receipt is not None
    wall = two.network.clock.wall()
    shown = json.dumps([full(record, evidence, two.a.settings, wall), trust(record, wall)])
    for secret in (record.outbound.sealed_key, record.receipt.sealed_answer):
        assert repr(secret)[2:20] not in shown
    assert two.at_a.token.reveal() not in shown
    for word in ('digest": "' + record.receipt.token_digest, "sealed", "PRIVATE"):
        assert word not in shown


def test_trust_names_anchors_serials_and_ends() -> None:
    two = pair(role_of_b="child")
    two.connect()
    wall = two.network.clock.wall()
    record = two.a.record(two.at_a.peer_id)
    shown = trust(record, wall)
    assert isinstance(record.outbound, OutboundIdentity)
    assert shown["mode"] == "hierarchical"
    assert [anchor["fingerprint"] for anchor in shown["anchors"]] == [two.a.authority.ca_fingerprint]
    assert shown["outbound"]["serial"] == record.outbound.serial
    assert shown["issued"]["serial"] == record.issued_serial
    assert trust(record, record.outbound.not_after)["outbound"]["expired"] is True
    assert shown["outbound"]["expired"] is False


def test_the_minting_answer_shows_secrets_only_when_given_them() -> None:
    two = pair()
    record = two.a.record(two.at_a.peer_id)
    again = minted(record, two.a.settings, WALL, None, None, "sha256:" + "0" * 64)
    assert (again["acceptance_token"], again["invitation"], again["token_already_revealed"]) == (None, None, True)
    once = minted(record, two.a.settings, WALL, two.at_a.token, two.at_a.token, "sha256:" + "0" * 64)
    assert once["acceptance_token"] == two.at_a.token.reveal()
    assert "token_already_revealed" not in once


def test_operators_are_offered_what_the_table_allows() -> None:
    two = pair()
    shown = full(two.a.record(two.at_a.peer_id), None, two.a.settings, WALL)
    assert shown["allowed_transitions"] == ["accepted", "revoked"]
    assert shown["acceptance_pending"] is True
