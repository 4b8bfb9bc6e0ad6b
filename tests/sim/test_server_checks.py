"""Remembered verdicts about servers are those of the checks themselves, at every moment."""

from __future__ import annotations

import pytest

from actors import certificates
from actors.ports import ServerExpectation
from runtime.values import evolve
from sim.clock import EPOCH
from sim.identities import SERVER_LEAF_LIFETIME_S
from sim.server_checks import ServerChecks
from sim.world import World


def moments(chain: tuple[bytes, ...]) -> list[float]:
    """In, at and around every date of the certificates."""
    dates = [EPOCH]
    for der in chain:
        anchor = certificates.parse_anchor(der)
        assert isinstance(anchor, certificates.Anchor)
        dates += [anchor.not_before, anchor.not_after]
    skew_s = certificates.SKEW_MAX_S
    return [date + around for date in dates for around in (-2 * skew_s, -skew_s - 1, -skew_s, -skew_s + 1, 0.0, skew_s, skew_s + 1, 1e9)]


@pytest.mark.parametrize("wrong", [{}, {"instance_id": "01a20000-0000-7000-8000-000000000001"}, {"anchors_pem": ("no certificate",)}])
def test_a_remembered_verdict_is_the_one_that_a_check_would_give(wrong: dict[str, object]) -> None:
    host = World(1).platform("a")
    right = ServerExpectation(anchors_pem=(host.authority.ca_bundle_pem,), instance_id=host.instance_id)
    expectation = evolve(right, **wrong)
    checks = ServerChecks()
    seen = set()
    for _ in range(2):
        for now in moments(host.server_chain):
            fresh = certificates.verify_server(host.server_chain, expectation, now=now)
            assert checks.unproven(host.server_chain, expectation, now) == fresh
            seen.add(fresh)
    assert (seen == {None, "not_yet_valid", "expired"}) == (not wrong), seen


def test_a_server_is_verified_once_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    host = World(1).platform("a")
    expectation = ServerExpectation(anchors_pem=(host.authority.ca_bundle_pem,), instance_id=host.instance_id)
    verify, count = certificates.verify_server, 0

    def counted(*arguments: object, **more: object) -> object:
        nonlocal count
        count += 1
        return verify(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(certificates, "verify_server", counted)
    checks = ServerChecks()
    for step in range(100):
        assert checks.unproven(host.server_chain, expectation, EPOCH + step * 3_600.0) is None
    assert count == 1
    assert checks.unproven(host.server_chain, expectation, EPOCH + 2 * SERVER_LEAF_LIFETIME_S) == "expired"
    assert count == 2
