"""Every condition of the governance scan, on both sides of its boundary."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.bridge.record import BridgeRecord
from actors.findings import KINDS
from actors.governance.scanner import scan, scan_across, scan_bridges, scan_grants, scan_hubs, scan_peer
from actors.grant.record import GrantRecord
from actors.hub.record import HubRecord, Relayed
from actors.limits import NOT_BEFORE_BACKDATE_S
from actors.peer.endpoints import Endpoint
from actors.peer.lifecycle import STATUSES
from actors.peer.record import OutboundIdentity, PeerEvidence, PeerRecord, Revocation, TrustedAnchor, UnprovenAnchor
from actors.schema_versions import MatrixRow
from actors.settings import FederationSettings, Identity, Settings
from runtime.store.port import Row
from runtime.values import evolve

WALL = 1_800_000_000.0
DAY_S = 86_400.0
FAR = WALL + 400 * DAY_S
OUR_FINGERPRINT = "sha256:" + "00" * 32
SETTINGS = Settings(
    identity=Identity("us", "https://us.example", "", OUR_FINGERPRINT, None),
    federation=FederationSettings(prefix="fd00:1::/48"),
    platform_version="1.4.2",
)


OF_OTHER_ROWS = {
    "bridge_without_peer", "audit_seal_failed", "audit_prune_refused",
    "clock_in_question", "grant_axis_corrupt", "unrestricted_grant_scope",
    "migration_chain_stalled", "migration_chain_failed", "migration_chain_unproven", "peer_capability_drift", "hub_consent_without_setting",
    "hub_refuses_connections", "hub_away", "peer_grant_revoked", "managed_child_grant_missing",
}  # fmt: skip
"""Kinds of findings that do not come from the rows of peers, or not from them alone; their own tests try them."""


def anchor(number: int = 1, **fields: Any) -> TrustedAnchor:
    return TrustedAnchor(**{"fingerprint": "sha256:" + f"{number:02x}" * 32, "pem": f"anchor {number}", "not_after": FAR, **fields})


def peer(**fields: Any) -> PeerRecord:
    """A sound, active peer, changed as told."""
    sound: dict[str, Any] = {
        "id": "0190c0de-0000-7000-8000-000000000001",
        "account_id": "account",
        "remote_instance_url": "https://them.example",
        "remote_instance_id": "them",
        "status": "active",
        "status_since": WALL - 1000.0,
        "outbound": OutboundIdentity("certificate", b"sealed", "01", WALL - DAY_S, FAR),
        "trusted_anchors": (anchor(),),
        "trust_mode": "symmetric",
        "trust_status": "established",
        "inbound_proven_at": WALL - 1000.0,
        "signed_at": WALL - 1000.0,
        "last_handshake_at": WALL - 1000.0,
        "platform_version": "1.4.0",
        "declared_residency": "EU",
        "release_tag": "r1",
        "operator_contact": "ops@them.example",
        "jurisdiction": "EU",
        "created_at": WALL - 2000.0,
        "updated_at": WALL - 1000.0,
    }
    return PeerRecord(**{**sound, **fields})


def evidence(**fields: Any) -> PeerEvidence:
    """Heartbeats in both directions half a minute ago, changed as told."""
    recent = WALL - 30.0
    fresh = {"last_heartbeat_at": recent, "last_inbound_heartbeat_at": recent, "last_outbound_heartbeat_at": recent}
    return PeerEvidence(**{**fresh, **fields})


def found(record: PeerRecord, seen: PeerEvidence | None = None, *, matrix: Sequence[MatrixRow] = ()) -> set[str]:
    return {finding.kind for finding in scan_peer(record, evidence() if seen is None else seen, SETTINGS, WALL, matrix)}


def the(kind: str, record: PeerRecord, seen: PeerEvidence | None) -> str:
    (finding,) = (finding for finding in scan_peer(record, seen, SETTINGS, WALL) if finding.kind == kind)
    return finding.message


def test_a_sound_peer_has_no_findings() -> None:
    assert found(peer()) == set()


def tried_since(at: float) -> OutboundIdentity:
    return OutboundIdentity("pem", b"", "1", at - NOT_BEFORE_BACKDATE_S, WALL + 90 * DAY_S)


INSTANTS: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("expired_trust_jwt", {"expires_at": WALL + 0.001}, {}, False),
    ("expired_trust_jwt", {"expires_at": WALL}, {}, True),
    ("stale_accepted_without_handshake", {"status": "accepted", "status_since": WALL - 180.0}, {}, False),
    ("stale_accepted_without_handshake", {"status": "accepted", "status_since": WALL - 180.001}, {}, True),
    ("stale_accepted_without_handshake", {"status": "accepted", "status_since": WALL, "signed_at": None}, {}, True),
    ("stale_accepted_without_handshake", {"status": "accepted", "status_since": 0.0, "peer_kind": "sdwan_only"}, {}, False),
    ("stale_accepted_without_handshake", {"status": "accepted", "metadata": {"handshake_abandoned": "so"}}, {}, True),
    (
        "trust_anchor_changed_unverified",
        {"unproven_anchor": UnprovenAnchor(fingerprint="sha256:" + "0" * 64, seen_at=WALL, reason="no proof")},
        {},
        True,
    ),
    ("trust_anchor_changed_unverified", {"unproven_anchor": None}, {}, False),
    ("peer_behind_our_rotation", {"outbound_next": tried_since(WALL - 3_600.0)}, {}, False),
    ("peer_behind_our_rotation", {"outbound_next": tried_since(WALL - 3_600.001)}, {}, True),
    ("peer_behind_our_rotation", {"outbound_next": tried_since(0.0), "status": "suspended"}, {}, False),
    ("platform_restored_by_hand", {}, {"echoed_epoch": 2}, True),
    ("platform_restored_by_hand", {}, {"echoed_epoch": 1}, False),
    ("platform_restored_by_hand", {}, {"knows_more": "start"}, True),
    ("platform_restored_by_hand", {}, {"knows_more": "history"}, True),
    ("peer_compromise_disclosed", {"compromise_disclosed_at": WALL}, {}, True),
    ("peer_compromise_disclosed", {"compromise_disclosed_at": WALL, "status": "suspended"}, {}, False),
    ("peer_heartbeat_stale", {"status": "enrolled", "remote_state": "suspended_us"}, {"last_heartbeat_at": 0.0}, False),
    ("peer_heartbeat_stale", {}, {"last_heartbeat_at": WALL - 300.0}, False),
    ("peer_heartbeat_stale", {}, {"last_heartbeat_at": WALL - 300.001}, True),
    ("peer_heartbeat_stale", {"status": "enrolled"}, {"last_heartbeat_at": WALL - 300.001}, True),
    ("peer_heartbeat_stale", {"status": "enrolled", "last_handshake_at": WALL - 300.0}, {"last_heartbeat_at": None}, False),
    ("peer_heartbeat_stale", {"status": "degraded"}, {"last_heartbeat_at": WALL - 3000.0}, False),
    ("peer_heartbeat_asymmetric", {}, {"last_inbound_heartbeat_at": WALL - 300.0}, False),
    ("peer_heartbeat_asymmetric", {}, {"last_inbound_heartbeat_at": WALL - 300.001}, True),
    ("peer_heartbeat_asymmetric", {}, {"last_outbound_heartbeat_at": None}, True),
    ("peer_heartbeat_asymmetric", {}, {"last_inbound_heartbeat_at": WALL - 301.0, "last_outbound_heartbeat_at": WALL - 301.0}, False),
    ("peer_heartbeat_asymmetric", {}, {"last_inbound_heartbeat_at": WALL - 900.0, "contact_since": WALL - 300.0}, False),
    ("peer_heartbeat_asymmetric", {}, {"last_inbound_heartbeat_at": WALL - 900.0, "contact_since": WALL - 300.001}, True),
    ("peer_degraded_prolonged", {"status": "degraded", "status_since": WALL - DAY_S}, {}, False),
    ("peer_degraded_prolonged", {"status": "degraded", "status_since": WALL - DAY_S - 0.001}, {}, True),
    ("peer_degraded_prolonged", {"status": "degraded", "status_since": 0.0, "remote_state": "suspended_us"}, {}, False),
    ("peer_clock_skew", {}, {"clock_skew_s": -300.0}, False),
    ("peer_clock_skew", {}, {"clock_skew_s": 300.001}, True),
    ("peer_clock_skew", {}, {"clock_skew_s": -300.001}, True),
    ("peer_cert_expiring", {"issued_not_after": WALL + 30 * DAY_S + 0.001}, {}, False),
    ("peer_cert_expiring", {"issued_not_after": WALL + 30 * DAY_S}, {}, True),
    ("peer_cert_expiring", {"issued_not_after": WALL}, {}, True),
    ("peer_cert_expired", {"issued_not_after": WALL}, {}, False),
    ("peer_cert_expired", {"issued_not_after": WALL - 0.001}, {}, True),
    ("peer_cert_expired", {"trusted_anchors": (anchor(not_after=WALL - 1.0),)}, {}, True),
    ("peer_cert_expired", {"trusted_anchors": (anchor(), anchor(2, not_after=WALL - 1.0, state="retiring"))}, {}, False),
    ("peer_identity_conflict", {}, {"epoch_flips": 1, "flipped_at": WALL}, False),
    ("peer_identity_conflict", {}, {"epoch_flips": 2, "flipped_at": WALL - 3_600.0}, True),
    ("peer_identity_conflict", {}, {"epoch_flips": 2, "flipped_at": WALL - 3_600.1}, False),
    ("peer_trust_missing", {"status": "proposed", "trust_mode": "none"}, {}, False),
    ("peer_trust_missing", {"status": "accepted", "trust_mode": "none"}, {}, True),
    ("peer_trust_missing", {"trust_status": "broken"}, {}, True),
    ("peer_trust_missing", {"status": "suspended", "trusted_anchors": ()}, {}, True),
    ("peer_trust_missing", {"server_identity": "public", "outbound": None}, {}, True),
    ("peer_schema_version_missing", {"platform_version": None}, {}, True),
    ("peer_schema_version_missing", {"platform_version": None, "status": "enrolled"}, {}, False),
    ("peer_schema_version_drift", {"platform_version": "1.5.9"}, {}, False),
    ("peer_schema_version_drift", {"platform_version": "1.6.0"}, {}, True),
    ("peer_schema_version_drift", {"platform_version": "what"}, {}, True),
    ("peer_schema_version_drift", {"platform_version": None}, {}, False),
    ("peer_residency_missing", {"declared_residency": None}, {}, True),
    ("peer_residency_conflict", {"declared_residency": "US", "data_residency": "EU"}, {}, True),
    ("peer_residency_conflict", {"declared_residency": "eu ", "data_residency": "EU"}, {}, False),
    ("peer_residency_conflict", {"declared_residency": "unknown", "data_residency": "EU"}, {}, False),
    ("peer_residency_missing", {"declared_residency": "unknown"}, {}, True),
    ("peer_residency_missing", {"declared_residency": None, "data_residency": "EU"}, {}, False),
    ("peer_identity_undisclosed", {"jurisdiction": ""}, {}, True),
    ("peer_identity_undisclosed", {"jurisdiction": "", "status": "degraded"}, {}, False),
    ("acceptance_token_expired", {"status": "proposed", "token_expired_at": WALL - 1.0}, {}, True),
    ("acceptance_token_expired", {"status": "accepted", "token_expired_at": WALL - 1.0}, {}, False),
    (
        "acceptance_token_expired",
        {"status": "proposed", "acceptance_token_digest": "d", "acceptance_token_expires_at": WALL + 0.001, "token_expired_at": WALL - 9.0},
        {},
        False,
    ),
    ("acceptance_token_expired", {"status": "proposed", "acceptance_token_digest": "d", "acceptance_token_expires_at": WALL}, {}, True),
    ("prefix_overlap_with_install", {"remote_prefix_advertisement": "fd00:1:0:ff00::/56"}, {}, True),
    ("prefix_overlap_with_install", {"remote_prefix_advertisement": "fd00:2::/48"}, {}, False),
    ("prefix_overlap_with_install", {"remote_prefix_advertisement": "no prefix"}, {}, False),
]


@pytest.mark.parametrize(("kind", "fields", "seen", "expected"), INSTANTS)
def test_a_condition_holds_exactly_from_its_boundary_on(kind: str, fields: dict[str, Any], seen: dict[str, Any], expected: bool) -> None:
    assert (kind in found(peer(**fields), evidence(**seen))) is expected


def test_each_kind_is_tried_on_both_sides() -> None:
    for expected in (True, False):
        tried = {kind for kind, _, _, outcome in INSTANTS if outcome is expected}
        across = {"shared_trust_anchor", "prefix_overlap_with_other_peer"}
        assert tried | across | OF_OTHER_ROWS == set(KINDS)


@pytest.mark.parametrize("status", STATUSES)
def test_only_a_revoked_peer_is_never_looked_at(status: Any) -> None:
    wreck = peer(status=status, expires_at=0.0, trust_mode="none", remote_prefix_advertisement="fd00:1::/48")
    assert (found(wreck) == set()) is (status == "revoked")


def test_a_revoked_peer_is_looked_at_until_nothing_under_way_may_use_it() -> None:
    ending = {"status": "revoked", "expires_at": WALL, "trusted_anchors": (anchor(not_after=WALL - 1.0),)}
    draining = Revocation(phase="draining", drain_until=WALL + 300.0, tombstone_until=FAR)
    assert found(peer(**ending, revocation=draining)) == {"peer_cert_expired"}
    assert found(peer(**ending, revocation=evolve(draining, phase="complete"))) == set()


CAUSES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("no trust material has been exchanged", {"trust_mode": "none"}, {}),
    ("no outbound identity", {"outbound": None}, {}),
    ("no anchor under which its calls", {"trusted_anchors": ()}, {}),
    ("its instance id is not known", {"remote_instance_id": None}, {}),
    ("our certificate for it ended at", {"outbound": OutboundIdentity("c", b"s", "01", 0.0, WALL - 1.0)}, {}),
    ("failed with remote_unreachable, and it has never contacted us", {}, {"last_error": "remote_unreachable"}),
    ("failed with server_identity_unverified", {"inbound_proven_at": WALL}, {"last_error": "server_identity_unverified"}),
    ("it answers us but has never contacted us", {}, {"last_outbound_heartbeat_at": WALL}),
    ("no heartbeat has been answered, and it has never contacted us", {}, {}),
    ("has not proven its identity key", {"inbound_proven_at": WALL}, {}),
]


@pytest.mark.parametrize(("cause", "fields", "seen"), CAUSES)
def test_a_stuck_peer_names_the_exact_cause_and_the_way_out(cause: str, fields: dict[str, Any], seen: dict[str, Any]) -> None:
    record = peer(**{"status": "accepted", "inbound_proven_at": None, **fields})
    message = the("stale_accepted_without_handshake", record, PeerEvidence(**seen))
    assert cause in message
    assert f"powernode peers probe {record.id}" in message


def test_required_disclosure_is_named_as_the_cause() -> None:
    strict = evolve(SETTINGS, federation=evolve(SETTINGS.federation, require_identity_disclosure=True))
    record = peer(status="accepted", jurisdiction=None, release_tag=None)
    (finding,) = (one for one in scan_peer(record, None, strict, WALL) if one.kind == "stale_accepted_without_handshake")
    assert "not disclosed release_tag, jurisdiction" in finding.message


def test_a_peer_that_only_dials_out_is_not_asymmetric() -> None:
    silent = {"last_outbound_heartbeat_at": None}
    url = "https://them.example"
    unreachable = Endpoint(url, status="unreachable")
    assert "peer_heartbeat_asymmetric" in found(peer(), evidence(**silent))
    assert "peer_heartbeat_asymmetric" not in found(peer(), evidence(**silent, endpoints=(unreachable,)))
    other = Endpoint("https://other.example", status="reachable")
    assert "peer_heartbeat_asymmetric" in found(peer(endpoints=(other,)), evidence(**silent, endpoints=(unreachable, other)))


def test_each_certificate_is_a_finding_of_its_own() -> None:
    soon = WALL + DAY_S
    record = peer(
        outbound=OutboundIdentity("c", b"s", "01", 0.0, soon),
        issued_not_after=soon,
        trusted_anchors=(anchor(1, not_after=soon), anchor(2, not_after=soon)),
    )
    findings = scan_peer(record, evidence(), SETTINGS, WALL)
    assert [finding.kind for finding in findings] == ["peer_cert_expiring"] * 4
    assert len({finding.fingerprint for finding in findings}) == 4


def test_an_operators_rule_decides_about_versions() -> None:
    rule = MatrixRow("1.4.2", "1.4.0", "degraded", "the ledger differs")
    assert found(peer(), matrix=(rule,)) == {"peer_schema_version_drift"}
    assert found(peer(platform_version="1.9.0"), matrix=(MatrixRow("1.4.2", "1.9.0", "compatible"),)) == set()


def test_text_of_a_remote_is_no_template() -> None:
    message = the("peer_schema_version_drift", peer(platform_version="{peer_id!r}{0}"), evidence())
    assert "{peer_id!r}{0}" in message


def numbered(number: int, **fields: Any) -> PeerRecord:
    distinct = {"id": f"peer-{number}", "created_at": WALL - 1000.0 + number, "trusted_anchors": (anchor(number),)}
    return peer(**{**distinct, "remote_instance_id": f"instance {number}", **fields})


def across(*records: PeerRecord) -> list[tuple[str, str, str]]:
    return [(one.kind, one.federation_peer_id, one.payload["other_peer_id"]) for one in scan_across(records, SETTINGS)]


def test_a_shared_anchor_is_reported_on_the_later_peer() -> None:
    first, second = numbered(1), numbered(2, trusted_anchors=(anchor(1),))
    assert across(second, first) == [("shared_trust_anchor", "peer-2", "peer-1")]
    assert across(first, evolve(second, remote_instance_id="instance 1")) == []
    assert across(first, evolve(second, status="revoked")) == []
    draining = Revocation(phase="draining", drain_until=WALL + 300.0, tombstone_until=FAR)
    assert across(first, evolve(second, status="revoked", revocation=draining)) == [("shared_trust_anchor", "peer-2", "peer-1")]


def test_children_that_we_certified_share_our_own_anchor_rightly() -> None:
    ours = evolve(anchor(), fingerprint=OUR_FINGERPRINT)
    parent = {"trusted_anchors": (ours,), "trust_mode": "hierarchical", "spawn_role": "parent"}
    assert across(numbered(1, **parent), numbered(2, **parent)) == []


def test_overlapping_prefixes_are_reported_on_the_later_live_peer() -> None:
    wide, inside = {"remote_prefix_advertisement": "fd00:7::/48"}, {"remote_prefix_advertisement": "fd00:7:0:100::/56"}
    reported = [("prefix_overlap_with_other_peer", "peer-2", "peer-1")]
    assert across(numbered(1, **wide), numbered(2, **inside)) == reported
    assert across(numbered(2, **wide), numbered(1, **inside)) == reported
    for status in ("proposed", "suspended", "revoked"):
        assert across(numbered(1, **wide, status=status), numbered(2, **inside)) == []


prefixes = st.builds(
    lambda site, subnet, mask: str(IPv6Network((0xFD00 << 112 | site << 80 | subnet << 64, mask), strict=False)),
    st.integers(0, 2),
    st.sampled_from([0, 1, 0x100, 0x1FF, 0xFF00]),
    st.sampled_from([48, 56, 64]),
)


@given(st.lists(prefixes, max_size=8))
def test_the_grouped_search_for_overlaps_agrees_with_comparing_every_pair(texts: list[str]) -> None:
    records = [numbered(number, remote_prefix_advertisement=text) for number, text in enumerate(texts)]
    networks = [IPv6Network(text) for text in texts]
    expected = []
    for later, network in enumerate(networks):
        earliest = next((earlier for earlier in range(later) if networks[earlier].overlaps(network)), None)
        if earliest is not None:
            expected.append(("prefix_overlap_with_other_peer", f"peer-{later}", f"peer-{earliest}"))
    assert across(*records) == expected


instants = st.one_of(st.none(), st.floats(0.0, 2 * WALL))
records = st.builds(
    peer,
    status=st.sampled_from(list(STATUSES)),
    peer_kind=st.sampled_from(["platform", "sdwan_only"]),
    status_since=st.floats(0.0, 2 * WALL),
    signed_at=instants,
    last_handshake_at=instants,
    expires_at=instants,
    issued_not_after=instants,
    token_expired_at=instants,
    outbound=st.one_of(st.none(), st.just(OutboundIdentity("c", b"s", "01", 0.0, WALL))),
    trusted_anchors=st.sampled_from([(), (anchor(),)]),
    trust_mode=st.sampled_from(["none", "hierarchical", "symmetric"]),
    trust_status=st.sampled_from(["none", "pending_proof", "established", "expired", "broken"]),
    platform_version=st.one_of(st.none(), st.text("0123.v-{}", max_size=8)),
    remote_prefix_advertisement=st.one_of(st.none(), prefixes, st.text(max_size=8)),
    server_anchor_pem=st.one_of(st.none(), st.text(max_size=40)),
)
sightings = st.one_of(
    st.none(),
    st.builds(
        PeerEvidence,
        last_heartbeat_at=instants,
        last_inbound_heartbeat_at=instants,
        last_outbound_heartbeat_at=instants,
        clock_skew_s=st.one_of(st.none(), st.floats(-1e9, 1e9)),
        last_error=st.sampled_from([None, "remote_unreachable"]),
        epoch_flips=st.integers(0, 3),
        flipped_at=st.one_of(st.none(), instants),
    ),
)


@given(st.lists(st.tuples(records, sightings), max_size=4))
def test_any_rows_can_be_scanned_and_each_finding_stands_once(pairs: list[tuple[PeerRecord, PeerEvidence | None]]) -> None:
    rows = [Row(evolve(record, id=f"peer-{number}"), seen) for number, (record, seen) in enumerate(pairs)]
    findings = scan(rows, SETTINGS, WALL)
    assert len({finding.fingerprint for finding in findings}) == len(findings)
    assert all(finding.severity == KINDS[finding.kind].severity for finding in findings)
    assert not any("None" in finding.message for finding in findings)


def test_an_active_bridge_of_an_ended_peering_is_told_and_one_of_a_paused_peer_is_not() -> None:
    facts: dict[str, Any] = {"federation_peer_id": "p", "sdwan_network_id": "n", "peering_epoch": 0, "proposed_at": 0.0, "updated_at": 0.0}
    bridge = BridgeRecord(id="b", account_id="a", state="active", **facts)
    peer = PeerRecord(
        id="p", account_id="a", remote_instance_url=None, status="suspended", status_since=0.0, created_at=0.0, updated_at=0.0
    )
    assert scan_bridges([bridge], [peer]) == ()
    (told,) = scan_bridges([bridge, evolve(bridge, id="c", state="revoked")], [])
    assert (told.kind, told.federation_peer_id, told.payload["bridge_id"]) == ("bridge_without_peer", "p", "b")
    assert len(scan_bridges([bridge], [evolve(peer, peering_epoch=1)])) == 1


def test_consents_without_effect_and_refused_connections_are_told() -> None:
    consent = HubRecord(id="p", account_id="a", peering_epoch=0, relaying="permitted", server_name="p.example", updated_at=0.0)
    on = evolve(SETTINGS, federation=FederationSettings(peer_channel=True, hub_enabled=True))
    refused = Relayed(refused={"no_channel": 3}, last_refused="no_channel", last_refused_at=WALL - 60.0)
    assert scan_hubs([Row(consent)], [], on, WALL) == ()
    assert scan_hubs([Row(evolve(consent, relaying="withdrawn"))], [], SETTINGS, WALL) == ()
    without = evolve(SETTINGS, federation=FederationSettings(peer_channel=False))
    (off,) = scan_hubs([Row(consent)], [], without, WALL)
    assert (off.kind, off.payload["setting"]) == ("hub_consent_without_setting", "federation.channel.enabled")
    (told,) = scan_hubs([Row(consent, refused)], [], on, WALL)
    assert (told.kind, told.federation_peer_id, told.payload["refused"]) == ("hub_refuses_connections", "p", 3)
    assert scan_hubs([Row(consent, refused)], [], on, WALL + 900.0) == ()
    assert scan_hubs([Row(evolve(consent, relaying="withdrawn"), refused)], [], on, WALL) == ()


def test_a_hub_out_of_contact_is_told_to_who_is_behind_it_and_to_nobody_else() -> None:
    consent = HubRecord(id=peer().id, account_id="a", peering_epoch=peer().peering_epoch, relayed="permitted", updated_at=0.0)
    on = evolve(SETTINGS, federation=FederationSettings(peer_channel=True))
    lost = peer(status="degraded")
    (told,) = scan_hubs([Row(consent)], [lost], on, WALL)
    assert (told.kind, told.federation_peer_id, told.payload["status"]) == ("hub_away", lost.id, "degraded")
    assert scan_hubs([Row(consent)], [peer()], on, WALL) == ()
    assert scan_hubs([Row(consent)], [], on, WALL) == ()
    assert scan_hubs([Row(evolve(consent, relayed="withdrawn"))], [lost], on, WALL) == ()
    assert scan_hubs([Row(evolve(consent, peering_epoch=7))], [lost], on, WALL) == ()


def test_grants_that_admit_from_anywhere_are_told_while_they_are_in_force() -> None:
    facts: dict[str, Any] = {
        "account_id": "a",
        "federation_peer_id": "p",
        "remote_subject": "s",
        "resource_kind": "NodeModule",
        "updated_at": 0.0,
    }
    wide = GrantRecord(id="wide", issued_at=0.0, expires_at=100.0, **facts)
    broad = evolve(wide, id="broad", permission_scopes=("read", "migrate"))
    narrow = evolve(wide, id="narrow", source_cidrs=("192.0.2.0/24",))
    over = evolve(wide, id="over", revoked_at=5.0)
    blank = evolve(wide, id="blank", source_cidrs=())
    told = {
        finding.payload["grant_id"]: (finding.kind, finding.severity) for finding in scan_grants([wide, broad, narrow, over, blank], 10.0)
    }
    assert told == {
        "wide": ("unrestricted_grant_scope", "medium"),
        "broad": ("unrestricted_grant_scope", "high"),
        "blank": ("grant_axis_corrupt", "high"),
    }
    assert {finding.payload["grant_id"] for finding in scan_grants([wide, blank], 200.0)} == {"blank"}
