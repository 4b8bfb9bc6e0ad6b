"""Our client certificate for a peer: renewed in time, by our own CA or by our parent, and never traded for a worse one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors import certificates
from actors.limits import DAY_S, ISSUED_CERTIFICATES_MAX
from actors.peer.messages import RenewNow, Revoke, Shown
from actors.ports import MakeRequest, RemoteReply, SignedCertificate, SignRequest
from actors.settings import FederationSettings
from runtime.errors import Fault
from tests.support.federation import Pair, Platform, pair

CERTIFICATE = "/federation_api/certificate"
SELDOM_S = 600.0
"""Between heartbeats, where days go by and only certificates matter."""


def parent_and_child(**federation: Any) -> Pair:
    two = pair(role_of_b="child", **federation)
    two.accept()
    two.network.advance(2.0)
    assert two.statuses == ("active", "active")
    return two


def renew(two: Pair) -> Any:
    outcomes = two.b.ask(two.at_b.peer_id, RenewNow(None))
    two.network.run()
    return outcomes[0]


def code_of(outcome: Any) -> str:
    assert isinstance(outcome, Fault), outcome
    return outcome.code


def sign(by: Platform, csr_pem: str, subject: str, instance_id: str) -> SignedCertificate:
    signed = by.authority.handle(SignRequest(csr_pem, subject, instance_id, DAY_S))
    assert isinstance(signed, SignedCertificate)
    return signed


def child_serial(two: Pair) -> str:
    outbound = two.b.record(two.at_b.peer_id).outbound
    assert outbound is not None
    return str(outbound.serial)


def test_a_child_renews_over_the_wire_and_both_certificates_are_valid() -> None:
    two = parent_and_child()
    former = two.b.record(two.at_b.peer_id).outbound
    assert isinstance(renew(two), Shown)
    assert two.network.passed[-1] == ("b", "a", CERTIFICATE, 200)
    child, parent = two.b.record(two.at_b.peer_id), two.a.record(two.at_a.peer_id)
    assert child.outbound.serial != former.serial
    assert parent.issued_serial == child.outbound.serial
    assert [issued.serial for issued in parent.issued_before] == [former.serial]
    leaf = certificates.parse_leaf(certificates.pem_to_der(child.outbound.certificate_pem))  # type: ignore[arg-type]
    assert not isinstance(leaf, str)
    assert leaf.common_name == parent.inbound_subject
    # The parent takes either of them.
    for pem in (former.certificate_pem, child.outbound.certificate_pem):
        der = certificates.pem_to_der(pem)
        assert isinstance(der, bytes)
        answers: list[Any] = []
        two.a.call("GET", "/federation_api/trust_bundle", b"", answers.append, (der,))
        two.network.run()
        assert answers[0].status == 200


def test_a_child_renews_by_itself_before_its_certificate_ends() -> None:
    two = parent_and_child(cert_ttl_s=DAY_S, cert_renew_at_s=DAY_S / 2)
    first = child_serial(two)
    two.network.advance(DAY_S / 2 - 300.0)
    assert child_serial(two) == first
    two.network.advance(600.0)
    assert child_serial(two) != first
    two.network.advance(DAY_S)
    assert two.statuses == ("active", "active")
    assert two.a.record(two.at_a.peer_id).trust_status == "established"


def test_the_end_of_the_peering_revokes_every_certificate_that_the_child_holds() -> None:
    two = parent_and_child()
    serials = {child_serial(two)}
    for _ in range(3):
        renew(two)
        serials.add(child_serial(two))
    two.a.ask(two.at_a.peer_id, Revoke(None, "over", True))
    two.network.run()
    assert {serial for serial in serials if two.a.engine.directory.row("revoked_certificate", serial) is not None} == serials


def test_beyond_the_limit_the_oldest_certificate_is_revoked() -> None:
    two = parent_and_child()
    first = child_serial(two)
    for _ in range(ISSUED_CERTIFICATES_MAX):
        assert two.a.engine.directory.row("revoked_certificate", first) is None
        renew(two)
    row = two.a.engine.directory.row("revoked_certificate", first)
    assert row is not None
    assert row.record.reason == "superseded"
    assert len(two.a.record(two.at_a.peer_id).issued_before) == ISSUED_CERTIFICATES_MAX - 1


def test_a_lost_answer_leaves_the_certificate_in_use_and_is_asked_for_again() -> None:
    two = parent_and_child()
    first = child_serial(two)
    two.network.lost_answers[CERTIFICATE] = 1
    assert code_of(renew(two)) == "remote_timeout"
    assert child_serial(two) == first
    assert isinstance(renew(two), Shown)
    assert len(two.a.record(two.at_a.peer_id).issued_before) == 2


@pytest.mark.parametrize("flaw", ["another_key", "another_subject", "another_instance", "foreign_ca", "nothing"])
def test_a_certificate_that_is_not_ours_is_not_taken(flaw: str) -> None:
    two = parent_and_child()
    first = child_serial(two)
    stranger = two.network.platform("c")

    def answer(exchange: Any) -> Any:
        if exchange.request.path != CERTIFICATE:
            return None
        csr = exchange.request.body["csr_pem"]
        if flaw == "another_key":
            csr = stranger.authority.handle(MakeRequest("fed:x", stranger.instance_id)).csr_pem  # type: ignore[union-attr]
        subject = "fed:" + (two.at_a.peer_id if flaw != "another_subject" else two.at_b.peer_id)
        instance = two.b.instance_id if flaw != "another_instance" else stranger.instance_id
        signed = sign(stranger if flaw == "foreign_ca" else two.a, csr, subject, instance)
        pem = "" if flaw == "nothing" else signed.certificate_pem
        return RemoteReply(200, {"data": {"certificate": {"cert_pem": pem}}}, {}, two.a.url, 0.01)

    two.network.answers = answer
    assert code_of(renew(two)) == "remote_error"
    assert child_serial(two) == first


def test_a_parent_signs_for_nobody_whose_certificates_come_from_its_own_ca() -> None:
    two = pair()
    two.accept()
    two.network.advance(2.0)
    made = two.b.authority.handle(MakeRequest("fed:x", two.b.instance_id))
    assert not isinstance(made, Fault)
    assert _asked(two, made.csr_pem)["code"] == "certificate_not_applicable"


def test_a_flawed_request_is_refused_with_its_reason() -> None:
    two = parent_and_child()
    body = _asked(two, "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
    assert (body["code"], body["details"]["reason"]) == ("invalid_csr", "csr_malformed")


def test_a_child_may_ask_five_times_an_hour() -> None:
    two = parent_and_child(rate_limits=FederationSettings().rate_limits)
    codes = [code_of(outcome) if isinstance(outcome := renew(two), Fault) else "renewed" for _ in range(6)]
    assert codes == ["renewed"] * 5 + ["remote_rejected"]


def _asked(two: Pair, csr_pem: str) -> dict[str, Any]:
    outbound = two.b.record(two.at_b.peer_id).outbound
    assert outbound is not None
    der = certificates.pem_to_der(outbound.certificate_pem)
    assert isinstance(der, bytes)
    answers: list[Any] = []
    two.a.call("POST", CERTIFICATE, json.dumps({"csr_pem": csr_pem}).encode(), answers.append, (der,))
    two.network.run()
    return dict(answers[0].body)


REQUIRED = "federation.peer.cert_rotation_required"


def alarms(platform: Platform, certificate: str = "outbound") -> list[tuple[str, str]]:
    """What operators were told about the end of a certificate: (severity, reason)."""
    events = [event for event in platform.store.events(0, 10_000) if event.kind == REQUIRED and event.payload["certificate"] == certificate]
    assert all(event.payload["requires_operator_action"] is True and event.payload["federation_peer_id"] for event in events)
    return [(event.severity, event.payload["reason"]) for event in events]


def test_operators_are_told_once_of_a_certificate_that_ends_and_once_that_it_has_ended() -> None:
    two = pair(cert_ttl_s=2 * DAY_S, cert_warn_s=DAY_S, cert_renew_at_s=DAY_S, cert_auto_renew=False, heartbeat_interval_s=SELDOM_S)
    two.accept()
    two.network.advance(DAY_S - 600.0)
    assert alarms(two.a) == []
    two.network.advance(3_600.0)
    assert alarms(two.a) == [("medium", "cert_expiring")]
    two.b.restart()
    two.network.advance(3_600.0)
    assert alarms(two.b) == [("medium", "cert_expiring")]
    two.network.advance(DAY_S)
    assert alarms(two.a) == alarms(two.b) == [("medium", "cert_expiring"), ("high", "cert_expired")]


def test_a_certificate_that_renews_itself_calls_for_nobody() -> None:
    two = pair(cert_ttl_s=2 * DAY_S, cert_warn_s=DAY_S, cert_renew_at_s=DAY_S, heartbeat_interval_s=SELDOM_S)
    two.accept()
    two.network.advance(5 * DAY_S)
    assert alarms(two.a) == alarms(two.b) == []


def test_a_renewal_that_fails_calls_for_operators_until_it_succeeds() -> None:
    two = parent_and_child(cert_ttl_s=2 * DAY_S, cert_warn_s=DAY_S, cert_renew_at_s=DAY_S, heartbeat_interval_s=SELDOM_S)
    two.network.lost_requests[CERTIFICATE] = 1
    two.network.advance(DAY_S + 3_600.0)
    assert alarms(two.b) == [("medium", "cert_expiring")]
    two.network.advance(DAY_S)
    assert alarms(two.b) == [("medium", "cert_expiring")]
    assert alarms(two.a, "issued") == [("medium", "cert_expiring")]
