"""Links, boxes, names and paths: the questions that both levels of the simulator ask the network."""

from __future__ import annotations

import itertools
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.links import Bimodal, Burst, Fixed, Flap, Kind, Link, Links, LogNormal, Uniform
from sim.names import LOOK_UP_S, MISSING_TTL_S, Resolved, Unresolved
from sim.nat import Dependence, Nat, NatRules
from sim.network import Delivery, Failure, Listening, Network, Path

DEPENDENCES: tuple[Dependence, ...] = ("endpoint_independent", "address_dependent", "address_and_port_dependent")


def network(seed: int = 1) -> Network:
    chance = random.Random(seed)
    return Network(Links(chance), chance)


def up() -> Listening:
    return "listening"


def path_between(net: Network, one: str, other: str, now: float = 0.0) -> Path:
    path = net.connect(one, net.public_address(other), 443, now)
    assert isinstance(path, Path), path
    return path


# --- links ----------------------------------------------------------------------------------------------------------


TIMES = st.floats(0.0, 8.0)
LATENCIES = st.one_of(
    TIMES.map(Fixed),
    st.tuples(TIMES, TIMES).map(lambda bounds: Uniform(*bounds)),
    st.builds(Bimodal, TIMES.map(Fixed), TIMES.map(Fixed), st.floats(0.0, 1.0)),
    st.just(LogNormal(0.045, 0.3)),
)
LINKS = st.builds(
    Link,
    latency=LATENCIES,
    jitter_s=st.just(0.0) | TIMES,
    bytes_per_s=st.none() | st.floats(1.0, 1e4),
    queue_bytes_max=st.just(math.inf) | st.just(5.0),
    loss=st.just(0.0) | st.floats(0.0, 1.0),
    burst=st.none() | st.just(Burst(0.5, 0.5)),
    cut=st.booleans(),
    flap=st.none() | st.just(Flap(1.0, 1.0)),
    stalled_until=st.just(0.0) | st.floats(0.0, 30.0),
)


def joined(seed: int = 1) -> Network:
    """Two hosts that can reach each other."""
    net = network(seed)
    net.add("a", up)
    net.add("b", up)
    return net


@given(out=LINKS, back=LINKS, nature=st.booleans(), now=st.floats(0.0, 40.0), seed=st.integers(0, 9))
def test_on_a_calm_path_every_frame_is_answered_in_time(out: Link, back: Link, nature: bool, now: float, seed: int) -> None:
    net = joined(seed)
    path = path_between(net, "a", "b")
    for link, drawn in ((net.links.between("a", "b"), out), (net.links.between("b", "a"), back)):
        for name in ("latency", "jitter_s") if nature else Link.__match_args__:
            setattr(link, name, getattr(drawn, name))
    if not path.calm(10.0, now):
        return
    for _ in range(20):
        there_s, back_s = path.transit("out", 6, "frame", now).delay_s, path.transit("back", 6, "frame", now).delay_s
        assert there_s is not None
        assert back_s is not None
        assert there_s + back_s <= 10.0


def test_a_path_is_calm_by_itself_and_not_through_a_box_or_with_any_fault() -> None:
    net = joined()
    path = path_between(net, "a", "b")
    assert path.calm(10.0, 0.0)
    assert not path.calm(0.03, 0.0)
    path.delay("a", 1.0)
    assert not path.calm(10.0, 0.0)
    path.delay("a", 0.0)
    link = net.links.between("b", "a")
    for name, fault in (("cut", True), ("loss", 0.01), ("burst", Burst(0.5, 0.5)), ("flap", Flap(1.0, 1.0)), ("stalled_until", 5.0)):
        setattr(link, name, fault)
        assert not path.calm(10.0, 0.0), name
        link.heal()
        assert path.calm(10.0, 0.0)
    path.lose()
    assert not path.calm(10.0, 0.0)


@pytest.mark.parametrize(
    ("latency", "median_s", "within"),
    [
        (Fixed(0.05), 0.05, 0.0),
        (Uniform(0.01, 0.03), 0.02, 0.05),
        (LogNormal(0.045, 0.3), 0.045, 0.05),
        (Bimodal(Fixed(0.01), Fixed(1.0), 0.1), 0.01, 0.0),
    ],
)
def test_a_latency_has_the_median_that_it_names(latency: object, median_s: float, within: float) -> None:
    chance = random.Random(7)
    drawn = [latency.draw(chance) for _ in range(4000)]  # type: ignore[attr-defined]
    assert statistics.median(drawn) == pytest.approx(median_s, rel=within or 1e-9)
    assert min(drawn) > 0


def test_a_bimodal_latency_is_slow_as_often_as_it_says() -> None:
    chance = random.Random(7)
    latency = Bimodal(Fixed(0.01), Fixed(1.0), 0.1)
    assert sum(latency.draw(chance) > 0.5 for _ in range(10_000)) == pytest.approx(1000, rel=0.1)


def test_bursts_lose_as_much_as_their_chances_say_and_in_runs() -> None:
    chance = random.Random(3)
    link = Link(burst=Burst(begin=0.02, end=0.25))
    lost = [link.transit(0.0, 100, "datagram", chance).why == "loss" for _ in range(20_000)]
    assert sum(lost) / len(lost) == pytest.approx(0.02 / 0.27, rel=0.15)
    runs = [sum(1 for _ in group) for gone, group in itertools.groupby(lost) if gone]
    assert statistics.mean(runs) == pytest.approx(4.0, rel=0.15)


@given(loss=st.floats(0.05, 0.6), seed=st.integers(0, 1000))
def test_loss_makes_segments_late_and_other_things_vanish(loss: float, seed: int) -> None:
    link = Link(latency=Fixed(0.01), loss=loss)
    fates: dict[Kind, list[float | None]] = {}
    for kind in ("frame", "segment", "datagram"):
        chance = random.Random(seed)
        fates[kind] = [link.transit(0.0, 100, kind, chance).delay_s for _ in range(60)]  # type: ignore[arg-type]
    assert set(fates["frame"]) <= {0.01, None}
    assert fates["frame"] == fates["datagram"]
    delays = {round(delay, 9) for delay in fates["segment"] if delay is not None}
    assert delays <= {round(0.01 + 0.2 * (2**times - 1), 9) for times in range(8)}


def test_bandwidth_makes_wait_and_a_full_queue_drops_its_tail() -> None:
    chance = random.Random(1)
    link = Link(latency=Fixed(0.0), bytes_per_s=1000.0, queue_bytes_max=2500.0)
    delays = [link.transit(0.0, 1000, "datagram", chance).delay_s for _ in range(4)]
    assert delays == [1.0, 2.0, None, None]
    assert link.transit(1.0, 1000, "datagram", chance).delay_s == 2.0
    # A stream sends again what was dropped, as soon as there is room.
    assert link.transit(1.0, 1000, "segment", chance).delay_s == pytest.approx(3.0)


def test_a_long_queue_keeps_everybody_waiting() -> None:
    chance = random.Random(1)
    bloated = Link(latency=Fixed(0.0), bytes_per_s=1000.0)
    assert [bloated.transit(0.0, 1000, "frame", chance).delay_s for _ in range(30)][-1] == 30.0


def test_datagrams_are_doubled_reordered_and_damaged() -> None:
    chance = random.Random(5)
    link = Link(latency=Fixed(0.01), duplicate=0.3, reorder=0.3, corrupt=0.1)
    transits = [link.transit(0.0, 100, "datagram", chance) for _ in range(2000)]
    assert sum(len(transit.delays_s) == 2 for transit in transits) == pytest.approx(600, rel=0.15)
    assert sum(transit.delays_s[0] > 0.0100001 for transit in transits) == pytest.approx(600, rel=0.15)
    assert sum(transit.corrupted for transit in transits) == pytest.approx(200, rel=0.25)
    assert all(transit.delays_s == (0.01,) for transit in (link.transit(0.0, 100, "segment", chance) for _ in range(100)))


def test_a_stall_delays_and_a_flapping_way_comes_and_goes() -> None:
    chance = random.Random(1)
    link = Link(latency=Fixed(0.01), stalled_until=5.0, flap=Flap(up_s=10.0, down_s=5.0, since=100.0))
    assert link.transit(2.0, 1, "frame", chance).delay_s == pytest.approx(3.01)
    assert [link.is_cut(at) for at in (0.0, 99.0, 100.0, 109.9, 110.0, 114.9, 115.0, 125.0)] == [
        False, False, False, False, True, True, False, True,
    ]  # fmt: skip


def test_healing_ends_faults_and_leaves_the_nature_of_a_link() -> None:
    links = Links(random.Random(1))
    link = links.between("a", "b")
    link.latency, link.bytes_per_s = Fixed(1.0), 10.0
    link.loss, link.burst, link.flap, link.cut, link.corrupt, link.stalled_until = 1.0, Burst(1, 0), Flap(0, 1), True, 1.0, 99.0
    links.heal()
    assert link == Link(latency=Fixed(1.0), bytes_per_s=10.0)


# --- boxes ----------------------------------------------------------------------------------------------------------


def punched(first: NatRules, second: NatRules) -> bool:
    """Whether two hosts behind NATs reach each other with datagrams after a server told each what it saw of the other (RFC 5128)."""
    net = network()
    net.add("server", up)
    server = net.places["server"].address
    for name, rules in (("x", first), ("y", second)):
        net.add_nat(f"{name}-nat", rules)
        net.add(name, up, realm=f"{name}-nat")
    seen = {}
    for name in ("x", "y"):
        told = net.datagram(name, 5000, (server, 3478), 0.0)
        assert isinstance(told, Delivery)
        seen[name] = told.source
    for _ in range(3):
        there, back = net.datagram("x", 5000, seen["y"], 1.0), net.datagram("y", 5000, seen["x"], 1.0)
        for name, got in (("y", there), ("x", back)):
            if isinstance(got, Delivery):
                assert got.target == name
                seen["x" if name == "y" else "y"] = got.source
    return isinstance(there, Delivery) and isinstance(back, Delivery)


def punchable(first: NatRules, second: NatRules) -> bool:
    """The same by reasoning: one side's first datagram gets through, and the other's answer to it does."""

    def known(rules: NatRules) -> bool:
        return rules.mapping == "endpoint_independent"

    def gets_in(sender: NatRules, receiver: NatRules) -> bool:
        # The receiver has sent to what the server told it of the sender, which is the sender's port only if that is always the same.
        mild = receiver.filtering == "address_dependent" or known(sender)
        return receiver.filtering == "endpoint_independent" or (known(receiver) and mild)

    def answer_gets_in(sender: NatRules, receiver: NatRules) -> bool:
        return sender.filtering != "address_and_port_dependent" or known(receiver)

    pairs = ((first, second), (second, first))
    return any(gets_in(*pair) and answer_gets_in(*pair) for pair in pairs)


@pytest.mark.parametrize("pair", list(itertools.product(itertools.product(DEPENDENCES, DEPENDENCES), repeat=2)))
def test_holes_can_be_punched_where_reasoning_says_so(pair: tuple[tuple[Dependence, Dependence], ...]) -> None:
    first, second = (NatRules(mapping=mapping, filtering=filtering, allocation="sequential") for mapping, filtering in pair)
    assert punched(first, second) == punchable(first, second)


@pytest.mark.parametrize("mapping", DEPENDENCES)
def test_a_mapping_depends_on_what_it_says(mapping: Dependence) -> None:
    nat = Nat("n", "62.1.0.1", NatRules(mapping=mapping, allocation="sequential"), random.Random(1))
    inside = ("10.1.0.1", 5000)
    ports = [
        found.outside[1]
        for remote in (("60.1.0.1", 1), ("60.1.0.1", 2), ("60.1.0.2", 1))
        if (found := nat.outbound("udp", inside, remote, 0.0)) is not None
    ]
    assert len(set(ports)) == {"endpoint_independent": 1, "address_dependent": 2, "address_and_port_dependent": 3}[mapping]


@pytest.mark.parametrize("filtering", DEPENDENCES)
def test_a_filter_depends_on_what_it_says(filtering: Dependence) -> None:
    nat = Nat("n", "62.1.0.1", NatRules(filtering=filtering), random.Random(1))
    mapping = nat.outbound("udp", ("10.1.0.1", 5000), ("60.1.0.1", 1), 0.0)
    assert mapping is not None
    admitted = [
        nat.inbound("udp", mapping.outside, remote, 1.0) is not None for remote in (("60.1.0.1", 1), ("60.1.0.1", 2), ("60.1.0.2", 1))
    ]
    assert (
        admitted
        == {
            "endpoint_independent": [True, True, True],
            "address_dependent": [True, True, False],
            "address_and_port_dependent": [True, False, False],
        }[filtering]
    )


def test_a_mapping_ends_after_silence_from_inside_and_with_a_reboot() -> None:
    nat = Nat("n", "62.1.0.1", NatRules(udp_timeout_s=120.0), random.Random(1))
    remote = ("60.1.0.1", 1)
    mapping = nat.outbound("udp", ("10.1.0.1", 5000), remote, 0.0)
    assert mapping is not None
    assert nat.inbound("udp", mapping.outside, remote, 119.0) == ("10.1.0.1", 5000)
    assert nat.inbound("udp", mapping.outside, remote, 120.0) is None
    nat.outbound("udp", ("10.1.0.1", 5000), remote, 121.0)
    assert len(list(nat.mappings(121.0))) == 1
    nat.reboot()
    assert list(nat.mappings(121.0)) == []


def test_ports_are_kept_shared_out_or_drawn() -> None:
    def ports(allocation: str) -> list[int]:
        nat = Nat("n", "62.1.0.1", NatRules(allocation=allocation), random.Random(1))  # type: ignore[arg-type]
        found = [nat.outbound("tcp", (f"10.1.0.{host}", 5000), ("60.1.0.1", 1), 0.0) for host in range(1, 4)]
        return [mapping.outside[1] for mapping in found if mapping is not None]

    assert ports("preserve") == [5000, 20_000, 20_001]
    assert ports("sequential") == [20_000, 20_001, 20_002]
    assert len(set(ports("random"))) == 3


# --- paths ----------------------------------------------------------------------------------------------------------


def test_who_is_behind_a_nat_can_call_and_cannot_be_called() -> None:
    net = network()
    net.add("a", up)
    net.add_nat("home", NatRules())
    net.add("b", up, realm="home")
    path = path_between(net, "b", "a")
    assert path.seen[0] == net.nats["home"].outside == net.public_address("b")
    assert path.transit("out", 100, "frame", 0.0).delay_s is not None
    assert path.transit("back", 100, "frame", 0.0).delay_s is not None
    assert net.connect("a", net.public_address("b"), 443, 0.0) == Failure("connect_timeout", "a NAT drops it")
    net.forward("home", "b")
    assert path_between(net, "a", "b").target == "b"


def test_carrier_grade_layers_add_up() -> None:
    net = network()
    net.add("a", up)
    net.add_nat("carrier", NatRules())
    net.add_nat("home", NatRules(), outer="carrier")
    net.add("b", up, realm="home")
    assert path_between(net, "b", "a").seen[0] == net.nats["carrier"].outside
    net.forward("home", "b")
    assert isinstance(net.connect("a", net.public_address("b"), 443, 0.0), Failure)


@pytest.mark.parametrize("hairpin", [True, False])
def test_insiders_meet_directly_and_by_the_outside_address_if_the_box_turns_back(hairpin: bool) -> None:
    net = network()
    net.add_nat("home", NatRules(hairpin=hairpin))
    for name in ("a", "b"):
        net.add(name, up, realm="home")
    net.forward("home", "b")
    direct = net.connect("a", net.places["b"].address, 443, 0.0)
    assert isinstance(direct, Path)
    assert direct.seen[0] == net.places["a"].address
    around = net.connect("a", net.nats["home"].outside, 443, 0.0)
    assert isinstance(around, Path) == hairpin
    if isinstance(around, Path):
        assert around.seen[0] == net.nats["home"].outside


def test_a_firewall_keeps_addresses_and_lets_only_answers_in() -> None:
    net = network()
    net.add("a", up)
    net.add_nat("wall", NatRules(translates=False, udp_blocked=True))
    net.add("b", up, realm="wall")
    assert path_between(net, "b", "a").seen[0] == net.places["b"].address == net.public_address("b")
    assert isinstance(net.connect("a", net.public_address("b"), 443, 0.0), Failure)
    assert isinstance(net.datagram("b", 1, (net.places["a"].address, 1), 0.0), Failure)


def test_a_firewall_lets_calls_pass_to_one_and_turns_none_to_it() -> None:
    net = network()
    net.add("a", up)
    net.add_nat("wall", NatRules(translates=False))
    for name in ("b", "c"):
        net.add(name, up, realm="wall")
    net.forward("wall", "c")
    assert path_between(net, "a", "c").target == "c"
    assert isinstance(net.connect("a", net.public_address("b"), 443, 0.0), Failure)


@pytest.mark.parametrize("translates", [True, False])
@pytest.mark.parametrize("forget", ["reboot", "timeout", "address"])
def test_a_box_forgets_what_it_has_let_in_as_well(forget: str, translates: bool) -> None:
    net = network()
    net.add("a", up)
    net.add_nat("home", NatRules(tcp_timeout_s=100.0, translates=translates))
    net.add("b", up, realm="home")
    net.forward("home", "b")
    path = path_between(net, "a", "b")
    # What the insider says keeps it, what it is told does not.
    assert all(path.transit("back", 1, "segment", now).delay_s is not None for now in (0.0, 99.0, 198.0))
    if forget == "reboot":
        net.nats["home"].reboot()
    elif forget == "address":
        net.renumber_nat("home")
    now = 298.0 if forget == "timeout" else 199.0
    assert path.transit("out", 1, "segment", now).why == "closed"
    assert path.state == "half_open"
    assert path_between(net, "a", "b", now).transit("back", 1, "segment", now).delay_s is not None


def test_a_box_keeps_nothing_of_a_connection_that_is_over() -> None:
    net = network()
    net.add("a", up)
    net.add_nat("home", NatRules())
    net.add("b", up, realm="home")
    net.forward("home", "b")
    path = path_between(net, "a", "b")
    path.close()
    assert not net.nats["home"]._incoming


def test_a_box_that_forgets_makes_connections_half_open() -> None:
    for forget in ("reboot", "timeout", "address"):
        net = network()
        net.add("a", up)
        net.add_nat("home", NatRules(tcp_timeout_s=100.0))
        net.add("b", up, realm="home")
        path = path_between(net, "b", "a")
        ended: list[bool] = []
        path.on_end(lambda ended=ended: ended.append(True))  # type: ignore[misc]
        now = 0.0
        if forget == "reboot":
            net.nats["home"].reboot()
        elif forget == "address":
            net.move_nat("home", "62.9.9.9")
        else:
            assert path.transit("out", 1, "frame", 99.0).delay_s is not None
            assert path.transit("back", 1, "frame", 198.0).delay_s is not None
            now = 199.0
        assert path.transit("back", 1, "frame", now).why == "closed"
        assert (path.state, ended, net.paths("a")) == ("half_open", [], [])


def test_a_dead_program_refuses_and_a_dead_machine_is_silent() -> None:
    net = network()
    state: list[Listening] = ["listening"]
    net.add("a", up)
    net.add("b", lambda: state[0])
    told: list[str] = []
    first, second = path_between(net, "a", "b"), path_between(net, "a", "b")
    first.on_end(lambda: told.append("first"))
    second.on_end(lambda: told.append("second"))
    second.lose()
    state[0] = "refusing"
    net.crashed("b")
    assert (told, first.state) == (["first"], "reset")
    refused = net.connect("a", net.public_address("b"), 443, 0.0)
    assert isinstance(refused, Failure)
    assert (refused.code, refused.after_s is not None) == ("connect_refused", True)
    state[0] = "silent"
    assert net.connect("a", net.public_address("b"), 443, 0.0) == Failure("connect_timeout", "no answer")


def test_a_machine_that_came_back_resets_what_it_has_forgotten() -> None:
    net = network()
    state: list[Listening] = ["listening"]
    net.add("a", up)
    net.add("b", lambda: state[0])
    path = path_between(net, "a", "b")
    state[0] = "silent"
    net.crashed("b", machine=True)
    assert path.transit("out", 1, "frame", 0.0).why == "closed"
    state[0] = "listening"
    assert path.transit("out", 1, "frame", 0.0).why == "reset"
    assert path.state == "reset"


def test_a_oneway_cut_prevents_connections_and_leaves_one_direction_of_open_ones() -> None:
    net = network()
    net.add("a", up)
    net.add("b", up)
    path = path_between(net, "a", "b")
    net.links.partition("b", "a", oneway=True)
    assert path.transit("out", 1, "frame", 0.0).delay_s is not None
    assert path.transit("back", 1, "frame", 0.0).why == "cut"
    for one, other in (("a", "b"), ("b", "a")):
        assert isinstance(net.connect(one, net.public_address(other), 443, 0.0), Failure)


def test_segments_of_one_direction_stay_in_order() -> None:
    net = network(4)
    net.add("a", up)
    net.add("b", up)
    net.links.between("a", "b").loss = 0.3
    path = path_between(net, "a", "b")
    arrivals = [at / 100 + (path.transit("out", 1, "segment", at / 100).delay_s or 0.0) for at in range(300)]
    rounded = [round(at, 9) for at in arrivals]
    assert rounded == sorted(rounded)


def test_a_reader_gets_less_of_a_stream_on_a_link_with_short_reads() -> None:
    net = network()
    net.add("a", up)
    net.add("b", up)
    path = path_between(net, "a", "b")
    assert path.readable("out", 1000) == 1000
    net.links.between("a", "b").short_reads = 1.0
    assert 1 <= path.readable("out", 1000) < 1000
    assert path.readable("out", 1) == 1


def test_a_move_changes_the_address_and_loses_connections_without_a_word() -> None:
    net = network()
    net.add("a", up)
    net.add("b", up)
    path, former = path_between(net, "a", "b"), net.public_address("b")
    assert net.move("b") == net.public_address("b") != former
    assert path.transit("out", 1, "frame", 0.0).why == "closed"
    assert net.connect("a", former, 443, 0.0) == Failure("unreachable", "EHOSTUNREACH", 0.0)


# --- names ----------------------------------------------------------------------------------------------------------


def named() -> Network:
    net = network()
    net.add("a", up)
    net.add_nat("home", NatRules())
    net.add("b", up, realm="home")
    net.names.set("x.example.com", ("60.9.0.1",), ttl_s=60.0)
    return net


def test_an_answer_is_remembered_for_its_time_to_live() -> None:
    net = named()
    assert net.resolve("a", "x.example.com", 0.0) == Resolved(("60.9.0.1",), LOOK_UP_S)
    net.names.set("x.example.com", ("60.9.0.2",))
    assert net.resolve("a", "x.example.com", 59.9) == Resolved(("60.9.0.1",), 0.0)
    assert net.resolve("b", "x.example.com", 59.9) == Resolved(("60.9.0.2",), LOOK_UP_S)
    assert net.resolve("a", "x.example.com", 60.0) == Resolved(("60.9.0.2",), LOOK_UP_S)
    net.names.set("x.example.com", ("60.9.0.3",))
    net.names.forget("a")
    assert net.resolve("a", "x.example.com", 61.0) == Resolved(("60.9.0.3",), LOOK_UP_S)


def test_networks_may_see_different_addresses() -> None:
    net = named()
    entry = net.names.get("x.example.com")
    assert entry is not None
    entry.views["home"] = ("10.1.0.9",)
    assert net.resolve("a", "x.example.com", 0.0) == Resolved(("60.9.0.1",), LOOK_UP_S)
    assert net.resolve("b", "x.example.com", 0.0) == Resolved(("10.1.0.9",), LOOK_UP_S)


def test_every_trouble_has_its_time_and_only_a_missing_name_is_remembered() -> None:
    net = named()
    assert net.resolve("a", "y.example.com", 0.0) == Unresolved("nxdomain", LOOK_UP_S)
    net.names.set("y.example.com", ("60.9.0.7",))
    assert net.resolve("a", "y.example.com", MISSING_TTL_S - 1) == Unresolved("nxdomain", 0.0)
    assert net.resolve("a", "y.example.com", MISSING_TTL_S) == Resolved(("60.9.0.7",), LOOK_UP_S)
    net.names.trouble("x.example.com", "servfail")
    assert net.resolve("a", "x.example.com", 0.0) == Unresolved("servfail", LOOK_UP_S)
    net.names.trouble("x.example.com", "timeout")
    assert net.resolve("a", "x.example.com", 0.0) == Unresolved("timeout", None)
    net.names.blind("b", "servfail")
    net.names.trouble("x.example.com", None)
    assert net.resolve("a", "x.example.com", 0.0) == Resolved(("60.9.0.1",), LOOK_UP_S)
    assert net.resolve("b", "x.example.com", 0.0) == Unresolved("servfail", LOOK_UP_S)
    net.heal()
    assert net.resolve("b", "x.example.com", 0.0) == Resolved(("60.9.0.1",), LOOK_UP_S)


def test_a_flapping_name_fails_only_while_it_is_down_and_what_is_remembered_helps() -> None:
    net = named()
    net.names.trouble("x.example.com", "servfail", Flap(up_s=100.0, down_s=50.0))
    found = [isinstance(net.resolve("a", "x.example.com", at), Resolved) for at in (0.0, 59.0, 99.0, 149.0, 158.9, 210.0, 271.0)]
    assert found == [True, True, True, True, True, True, False]
