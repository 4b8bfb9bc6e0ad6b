"""What is remembered of a caller for its connection is what a new connection would be told, at every moment and after every change."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import actors.door.admission
from actors import certificates
from actors.door.admission import Admitted, admit
from actors.door.call import Source
from actors.limits import SKEW_MAX_S
from actors.peer.record import TrustedAnchor
from actors.revoked_certificate.record import Reason, RevokedCertificate
from runtime.errors import Fault
from runtime.values import evolve
from tests.support.certificates import PeerPki
from tests.support.grants import Peers, peers

REVOKED = "revoked_certificate"
ANOTHER = "0190c0de-0000-7000-8000-0000000000aa"


@pytest.fixture(scope="module")
def two() -> Peers:
    return peers()


def told(two: Peers, source: Any, wall: float) -> tuple[Any, ...]:
    found = admit(two.a.engine.directory, source, "exchange", wall)
    if isinstance(found, Fault):
        return ("refused", found.code, str(found.details))
    return ("admitted", found.record, found.anchor_fingerprint)


class Changes:
    """Everything that the verdict about a caller hangs on, changed at random in what the door reads."""

    def __init__(self, two: Peers, chance: random.Random) -> None:
        self._directory, self._store = two.a.engine.directory, two.a.store
        self._chance = chance
        row = self._directory.row("peer", two.b_at_a)
        assert row is not None
        self.wall = two.a.clock.wall()
        subject, instance_id = row.record.inbound_subject, row.record.remote_instance_id
        pki = PeerPki.make(common_name=subject, instance_id=instance_id, now=self.wall)
        anchor = certificates.parse_anchor(pki.ca.der)
        assert isinstance(anchor, certificates.Anchor)
        # So that there is a time at which only the anchor is over.
        self.der = pki.leaf(not_after=anchor.not_after + 1e6)
        leaf = certificates.parse_leaf(self.der)
        assert isinstance(leaf, certificates.Leaf)
        self.leaf, self.anchor = leaf, anchor
        self.row = evolve(
            row, record=evolve(row.record, trusted_anchors=(TrustedAnchor(anchor.fingerprint, pki.ca.pem, anchor.not_after),))
        )
        self.sound()

    def connection(self) -> Source:
        """A new one of the peer."""
        return Source("192.0.2.1", "tls", (self.der,), "test")

    def put(self, evidence: Any = None, **changes: Any) -> None:
        self._directory.committed("peer", self.row.record.id, evolve(self.row.record, **changes), evidence or self.row.evidence)

    def sound(self) -> None:
        self._directory.committed("peer", self.row.record.id, self.row.record, self.row.evidence)

    def status(self) -> None:
        self.put(status=self._chance.choice(["active", "suspended", "revoked", "proposed", "degraded"]))

    def end(self) -> None:
        self.put(expires_at=self.wall + self._chance.choice([-1.0, 0.0, 1e6]))

    def subject(self) -> None:
        self.put(inbound_subject=self._chance.choice([None, "fed:another"]))

    def instance(self) -> None:
        self.put(remote_instance_id=ANOTHER)

    def anchors(self) -> None:
        anchor = self.row.record.trusted_anchors[0]
        until = evolve(anchor, accept_until=self.wall + self._chance.choice([-1.0, 5.0, 1e6]))
        since = evolve(anchor, accept_from=self.wall + self._chance.choice([-1e6, 5.0]))
        self.put(trusted_anchors=self._chance.choice([(), (anchor,), (until,), (since,)]))

    def revoked(self) -> None:
        reasons: tuple[Reason, ...] = ("superseded", "peer_revoked")
        self.put_revoked(self._chance.choice(reasons), self._chance.choice([self.row.record.id, ANOTHER]))

    def put_revoked(self, reason: Reason, peer_id: str) -> None:
        serial = self.leaf.serial
        record = RevokedCertificate(id=serial, federation_peer_id=peer_id, reason=reason, revoked_at=0.0, not_after=1e12)
        self._directory.committed(REVOKED, self.leaf.serial, record, None)

    def another(self) -> None:
        """Another row, whose tombstone a revoked serial may belong to."""
        self.put_another(self._chance.choice([None, "fed:another"]))

    def put_another(self, subject: str | None) -> None:
        self._directory.committed("peer", ANOTHER, evolve(self.row.record, id=ANOTHER, inbound_subject=subject), None)

    def unrevoked(self) -> None:
        self._directory.committed(REVOKED, self.leaf.serial, None, None)

    def seen(self) -> None:
        row = self._directory.row("peer", self.row.record.id)
        assert row is not None
        self._directory.committed("peer", row.record.id, row.record, object())

    def evicted(self) -> None:
        self._directory.reopen(self._store)

    def nothing(self) -> None:
        pass

    def all(self) -> list[Callable[[], None]]:
        return [
            self.sound, self.status, self.end, self.subject, self.instance, self.anchors, self.revoked, self.another, self.unrevoked,
            self.seen, self.evicted, self.nothing, self.nothing,
        ]  # fmt: skip

    def moments(self) -> list[float]:
        dates = [(each.not_before - SKEW_MAX_S, each.not_after + SKEW_MAX_S) for each in (self.leaf, self.anchor)]
        edges = [edge for pair in dates for edge in pair]
        return [self.wall] * 8 + [self.wall + 6.0] + [edge + around for edge in edges for around in (-1.0, 0.0, 1.0)]


@pytest.fixture
def changes(two: Peers) -> Iterator[Changes]:
    found = Changes(two, random.Random(0))
    yield found
    two.a.engine.directory.reopen(two.a.store)


@pytest.mark.parametrize("seed", range(6))
def test_a_kept_connection_is_told_what_a_new_one_is(two: Peers, changes: Changes, seed: int) -> None:
    chance = changes._chance = random.Random(seed)
    kept = changes.connection()
    met = set()
    for _ in range(800):
        chance.choice(changes.all())()
        for _ in range(2):
            wall = chance.choice(changes.moments())
            expected = told(two, changes.connection(), wall)
            assert told(two, kept, wall) == expected
            met.add(expected[0] if expected[0] == "admitted" else expected[1])
        if chance.random() < 0.4:
            changes.unrevoked()
            changes.sound()
    assert met == {
        "admitted", "certificate_revoked", "client_certificate_invalid", "instance_san_invalid", "peer_not_admitted", "peer_revoked",
        "peer_suspended", "peering_expired", "unknown_peer_subject",
    }  # fmt: skip


def test_a_caller_is_recognised_once_while_nothing_changes(two: Peers, changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    recognise, count = actors.door.admission.recognise, 0

    def counted(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        return recognise(*arguments)

    monkeypatch.setattr(actors.door.admission, "recognise", counted)
    kept = changes.connection()
    for _ in range(10):
        assert isinstance(admit(two.a.engine.directory, kept, "exchange", changes.wall), Admitted)
        changes.seen()
    assert count == 1
    changes.put(jurisdiction="elsewhere")
    assert isinstance(admit(two.a.engine.directory, kept, "exchange", changes.wall), Admitted)
    assert count == 2


def test_a_kept_connection_ends_with_the_tombstone_of_another_row(two: Peers, changes: Changes) -> None:
    kept = changes.connection()
    changes.put_another("fed:another")
    changes.put_revoked("peer_revoked", ANOTHER)
    assert told(two, kept, changes.wall)[0] == "admitted"
    changes.put_another(None)
    assert told(two, kept, changes.wall)[1] == "certificate_revoked"
