"""The books of a hub against the plainest account of the same: lists of what is open and of what has passed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.hub.ledger import REASONS, Counts, HubLimits, Lane, Ledger
from actors.hub.record import Terms
from actors.hub.routing import Route
from runtime.values import evolve

LIMITS = HubLimits(
    connections=6,
    connections_per_peer=4,
    connections_per_source=3,
    new_connections_per_peer=1_000,
    new_connections_per_source=1_000,
    rate_bytes=1_000,
    rate_bytes_per_peer=400,
)
ANY = Terms()


def admitted(ledger: Ledger, peer: str = "b", source: str = "192.0.2.1", now: float = 0.0, terms: Terms = ANY) -> Lane:
    lane = ledger.admit(Route(peer, terms), source, now)
    assert isinstance(lane, Lane), lane
    return lane


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), st.sampled_from("bcd"), st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"])),
        st.tuples(st.just("close"), st.integers(0, 9), st.none()),
        st.tuples(st.just("spend"), st.integers(0, 9), st.integers(0, 500)),
        st.tuples(st.just("tell"), st.none(), st.none()),
    ),
    max_size=60,
)


@given(STEPS)
def test_nothing_is_open_beyond_a_limit_and_nothing_is_counted_twice_or_forgotten(steps: list[tuple[str, object, object]]) -> None:
    ledger, lanes, passed, told, refused = Ledger(LIMITS), [], 0, 0, 0
    for word, first, second in steps:
        if word == "admit":
            outcome = ledger.admit(Route(str(first), ANY), str(second), 0.0)
            if isinstance(outcome, str):
                assert outcome in REASONS
                refused += 1
            else:
                lanes.append(outcome)
        elif word == "close" and lanes:
            ledger.close(lanes.pop(int(str(first)) % len(lanes)))
        elif word == "spend" and lanes:
            ledger.spend(lanes[int(str(first)) % len(lanes)], "to", int(str(second)), 0.0)
            passed += int(str(second))
        elif word == "tell":
            told += sum(each.bytes_to for each in ledger.untold().values())
        assert ledger.open_now == len(lanes) <= LIMITS.connections
        assert all(sum(lane.peer_id == peer for lane in lanes) <= LIMITS.connections_per_peer for peer in "bcd")
        assert all(sum(lane.source == lane_of.source for lane in lanes) <= LIMITS.connections_per_source for lane_of in lanes)
    last = ledger.untold()
    assert told + sum(each.bytes_to for each in last.values()) == passed
    assert ledger.untold() == {}
    assert sum(sum(each.refused.values()) for each in last.values()) <= refused


def test_each_limit_has_its_own_word() -> None:
    ledger = Ledger(LIMITS)
    lanes = [admitted(ledger, "b", f"192.0.2.{number}") for number in range(4)]
    assert ledger.admit(Route("b", ANY), "192.0.2.9", 0.0) == "too_many_for_peer"
    lanes += [admitted(ledger, "c", "198.51.100.1"), admitted(ledger, "c", "198.51.100.1")]
    assert ledger.admit(Route("c", ANY), "198.51.100.1", 0.0) == "too_many_connections"
    for lane in lanes[:4]:
        ledger.close(lane)
    admitted(ledger, "d", "198.51.100.1")
    assert ledger.admit(Route("d", ANY), "198.51.100.1", 0.0) == "too_many_from_source"
    assert ledger.admit(Route("b", Terms(sources=("203.0.113.0/24",))), "198.51.100.7", 0.0) == "source_not_permitted"
    assert ledger.untold()["b"].refused == {"too_many_for_peer": 1, "source_not_permitted": 1}


def test_the_terms_of_a_peer_only_tighten_its_number_of_connections() -> None:
    ledger = Ledger(LIMITS)
    lane = admitted(ledger, terms=Terms(connections_max=1))
    assert ledger.admit(Route("b", Terms(connections_max=1)), "192.0.2.2", 0.0) == "too_many_for_peer"
    ledger.close(lane)
    wide = Terms(connections_max=4_000)
    for number in range(4):
        admitted(ledger, source=f"192.0.2.{number}", terms=wide)
    assert ledger.admit(Route("b", wide), "192.0.2.9", 0.0) == "too_many_for_peer"


@pytest.mark.parametrize(
    ("sources", "source", "passes"),
    [
        (("192.0.2.0/24",), "192.0.2.77", True),
        (("192.0.2.0/24",), "192.0.3.1", False),
        (("2001:db8::/32",), "2001:db8::5", True),
        (("2001:db8::/32",), "192.0.2.1", False),
        (("0.0.0.0/0",), "nonsense", False),
    ],
)
def test_sources_bound_who_is_relayed(sources: tuple[str, ...], source: str, passes: bool) -> None:
    outcome = Ledger(LIMITS).admit(Route("b", Terms(sources=sources)), source, 0.0)
    assert isinstance(outcome, Lane) is passes


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0.0, 2.0)), min_size=1, max_size=40))
def test_who_waits_as_told_never_passes_more_than_the_rate_and_a_second_of_burst(pieces: list[tuple[int, float]]) -> None:
    ledger, now, passed = Ledger(LIMITS), 0.0, 0
    lane = admitted(ledger)
    for count, pause_s in pieces:
        now += pause_s
        now += ledger.spend(lane, "from", count, now)
        passed += count
        assert passed <= LIMITS.rate_bytes_per_peer * (now + 1.0) + 1e-6


def test_all_peers_together_have_a_rate_too() -> None:
    limits = evolve(LIMITS, rate_bytes=400, rate_bytes_per_peer=400)
    ledger = Ledger(limits)
    assert ledger.spend(admitted(ledger, "b"), "to", 400, 0.0) == 0.0
    assert ledger.spend(admitted(ledger, "c"), "to", 400, 0.0) == pytest.approx(1.0)


def test_what_is_told_is_what_has_happened_since() -> None:
    ledger = Ledger(LIMITS)
    lane = admitted(ledger)
    ledger.opened(lane)
    ledger.spend(lane, "to", 7, 0.0)
    ledger.spend(lane, "from", 11, 0.0)
    assert ledger.untold() == {"b": Counts(connections=1, refused={}, bytes_to=7, bytes_from=11, open_now=1)}
    ledger.close(lane)
    assert ledger.untold() == {"b": Counts(connections=0, refused={}, bytes_to=0, bytes_from=0, open_now=0)}


PACED = evolve(LIMITS, new_connections_per_peer=6, new_connections_per_source=3)


def begun(ledger: Ledger, source: str, now: float, peer: str = "b", terms: Terms = ANY) -> str | None:
    """Open a connection and end it at once; the reason if it does not begin."""
    outcome = ledger.admit(Route(peer, terms), source, now)
    if isinstance(outcome, Lane):
        ledger.close(outcome)
        return None
    return outcome


def test_connections_begin_no_faster_than_a_source_and_a_peer_may_and_what_is_refused_uses_nothing_up() -> None:
    ledger = Ledger(PACED)
    assert [begun(ledger, "192.0.2.1", 0.0) for _ in range(4)] == [None, None, None, "too_many_new_from_source"]
    assert {begun(ledger, "192.0.2.1", 0.0) for _ in range(100)} == {"too_many_new_from_source"}
    assert [begun(ledger, "192.0.2.2", 0.0) for _ in range(3)] == [None, None, None]
    assert begun(ledger, "192.0.2.3", 0.0) == "too_many_new_for_peer"
    assert begun(ledger, "192.0.2.3", 0.0, peer="c") is None
    assert begun(ledger, "192.0.2.1", 20.5) is None
    assert begun(ledger, "192.0.2.1", 20.5) == "too_many_new_from_source"


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"])), max_size=60))
def test_in_no_minute_begin_more_than_twice_the_connections_of_a_minute(steps: list[tuple[float, str]]) -> None:
    ledger, now, begins = Ledger(PACED), 0.0, []
    for after_s, source in steps:
        now += after_s
        if begun(ledger, source, now) is None:
            begins.append((now, source))
    for at, source in begins:
        within = [other for other in begins if at <= other[0] < at + 60.0]
        assert len(within) <= 2 * PACED.new_connections_per_peer
        assert sum(other[1] == source for other in within) <= 2 * PACED.new_connections_per_source


def test_terms_tighten_the_pace_and_never_widen_it() -> None:
    ledger = Ledger(PACED)
    narrow, wide = Terms(new_connections_max=1), Terms(new_connections_max=1_000)
    assert [begun(ledger, f"192.0.2.{number}", 0.0, "b", narrow) for number in range(2)] == [None, "too_many_new_for_peer"]
    assert [begun(ledger, f"198.51.100.{number}", 0.0, "c", wide) for number in range(7)] == [None] * 6 + ["too_many_new_for_peer"]


@pytest.mark.parametrize("source", ["192.0.2.7", "::ffff:192.0.2.7"])
def test_a_denied_network_is_denied_whatever_else_is_permitted_and_however_its_addresses_are_written(source: str) -> None:
    inside = Terms(sources=("192.0.2.0/24",))
    assert begun(Ledger(evolve(LIMITS, denied=("192.0.2.0/29",))), source, 0.0, terms=inside) == "source_denied"
    assert begun(Ledger(LIMITS), source, 0.0, terms=evolve(inside, denied=("192.0.2.7/32",))) == "source_denied"
    assert begun(Ledger(LIMITS), source, 0.0, terms=inside) is None


def test_very_many_sources_are_not_remembered_for_ever() -> None:
    ledger = Ledger(evolve(PACED, new_connections_per_peer=1_000_000))
    for number in range(5_000):
        begun(ledger, f"10.0.{number // 250}.{number % 250}", 0.0)
    assert len(ledger._paces) == 4_096
