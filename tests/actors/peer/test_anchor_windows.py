"""What rotations do to the anchors of a row, whatever comes after what: windows are never prolonged, and one root follows another."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.limits import DAY_S
from actors.peer.anchors import remote_anchors, with_next, with_only
from actors.peer.moving import with_own_roots
from actors.peer.record import PeerRecord, TrustedAnchor, without_ended_anchors
from actors.ports import RootKey
from actors.rotation.record import Root, RotationRecord
from actors.settings import Identity
from runtime.values import evolve

FIRST = TrustedAnchor("sha256:first", "pem", 9e9)
US = Identity(instance_id="us", url="https://us.example", ca_bundle_pem="pem", ca_fingerprint="sha256:first", ca_pin=None, boot_epoch=1)


def row(**more: Any) -> PeerRecord:
    return PeerRecord(
        id="peer", account_id="account", remote_instance_url="https://x.example", status="active", status_since=0.0, created_at=0.0,
        updated_at=0.0, trust_mode="symmetric", trusted_anchors=(FIRST,), **more,
    )  # fmt: skip


EVENTS = st.lists(
    st.tuples(st.sampled_from(["next", "used", "time", "approved"]), st.floats(0.0, 40 * DAY_S), st.floats(DAY_S, 30 * DAY_S)), max_size=12
)


@given(events=EVENTS)
def test_no_order_of_rotations_prolongs_a_window_or_leaves_a_row_without_anchor(events: list[tuple[str, float, float]]) -> None:
    record, wall, made = row(remote_ca_fingerprint="sha256:first"), 0.0, 0
    ends: dict[str, float] = {}
    for what, passes, window in events:
        if what == "time":
            wall += passes
            record = without_ended_anchors(record, wall)
        elif what == "next":
            made += 1
            record = with_next(record, TrustedAnchor(f"sha256:{made}", "pem", 9e9, "next", accept_from=wall), wall + window)
        elif what == "approved":
            made += 1
            record = with_only(record, TrustedAnchor(f"sha256:{made}", "pem", 9e9))
            assert record.remote_ca_fingerprint == f"sha256:{made}"
        held = record.trusted_anchors
        assert held
        assert len({anchor.fingerprint for anchor in held}) == len(held)
        assert sum(anchor.state == "next" for anchor in held) <= 1
        for anchor in held:
            if anchor.accept_until is not None:
                assert anchor.accept_until <= ends.get(anchor.fingerprint, anchor.accept_until)
                ends[anchor.fingerprint] = anchor.accept_until
        newest = held[-1]
        assert newest.accept_until is None
        assert newest.fingerprint == (f"sha256:{made}" if made else "sha256:first")


OURS = [Root(fingerprint=f"sha256:{number}", key=RootKey(f"pem {number}", b""), not_after=9e9) for number in range(3)]
RECORDS = st.builds(
    RotationRecord,
    id=st.just("us"),
    current=st.sampled_from([None, OURS[0], OURS[1]]),
    next=st.sampled_from([None, OURS[2]]),
    ends=st.integers(0, 10**7),
    forced=st.booleans(),
)


@given(rotation=RECORDS, before=st.lists(RECORDS, max_size=3), wall=st.floats(0, 1e7))
def test_a_childs_row_holds_the_roots_in_use_and_settles_at_once(
    rotation: RotationRecord, before: list[RotationRecord], wall: float
) -> None:
    record = row(spawn_role="parent")
    record = evolve(record, trust_mode="hierarchical")
    for each in (*before, rotation):
        record = with_own_roots(record, each, US, wall)
        assert with_own_roots(record, each, US, wall) is record
    held = [anchor.fingerprint for anchor in record.trusted_anchors]
    assert len(set(held)) == len(held)
    if rotation.next is not None:
        assert rotation.next.fingerprint in held
    elif rotation.current is not None:
        assert rotation.current.fingerprint in held
        assert not rotation.forced or held == [rotation.current.fingerprint]
    symmetric = row()
    assert with_own_roots(symmetric, rotation, US, wall) is symmetric


def test_a_childs_listener_is_followed_beside_its_anchors() -> None:
    child = evolve(row(spawn_role="parent"), trust_mode="hierarchical")
    assert remote_anchors(child) == ()
    following = TrustedAnchor("sha256:l", "listener", 9e9, "next")
    after = with_next(evolve(child, server_anchor_pem="former"), following, 100.0)
    assert (after.trusted_anchors, after.server_anchor_next, after.server_anchor_until) == ((FIRST,), following, 100.0)
    ended = without_ended_anchors(after, 100.0)
    assert (ended.server_anchor_pem, ended.server_anchor_next, ended.server_anchor_until) == ("listener", None, None)
