"""Traces: events with their causes, the finding of one, schedules as tapes, and the digest that neither tracing nor a driver changes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runtime.engine import Engine
from sim.cli import sim
from sim.drivers import DRIVERS, driven
from sim.scenario.load import load
from sim.scenario.run import run
from sim.schedule import Deviation, Drawn, Recorded, Tape, parse_deviation
from sim.trace.events import TraceEvent
from sim.trace.find import causes, matches
from sim.trace.tracer import Tracer

ROOT = Path(__file__).parent.parent.parent
HAPPY = ROOT / "scenarios/happy-path.toml"
FILES = [file for file in sorted((ROOT / "scenarios").glob("*.toml")) if load(file).world.cost == "small"]
TROUBLED = ("crossed-accepts", "minter-crashes-in-accept", "slow-disk", "token-used-twice")


def traced(name: str, seed: int = 1) -> list[TraceEvent]:
    events: list[TraceEvent] = []
    run(load(ROOT / f"scenarios/{name}.toml"), seed, tracer=Tracer(events.append))
    return events


def replay(*words: str) -> Result:
    return CliRunner().invoke(sim, ["replay", *words])


@pytest.mark.parametrize("name", TROUBLED)
def test_neither_a_tracer_nor_the_driver_changes_what_happens(name: str) -> None:
    scenario = load(ROOT / f"scenarios/{name}.toml")
    digests = {run(scenario, 5).digest, run(scenario, 5, tracer=Tracer(lambda event: None)).digest}
    for driver in DRIVERS:
        with driven(driver) as drive:
            digests.add(run(scenario, 5, drive=drive).digest)
    assert len(digests) == 1


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_both_drivers_give_the_same_digests_under_many_seeds(file: Path) -> None:
    scenario = load(file)
    with driven("task") as drive:
        assert [seed for seed in range(100) if run(scenario, seed).digest != run(scenario, seed, drive=drive).digest] == []


def test_the_task_driver_really_runs_handlers_in_tasks_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import trio

    from actors.peer.heartbeats import Heartbeats

    tasks: set[int] = set()
    beat = Heartbeats._beat

    def noted(actor: object, ctx: object) -> None:
        tasks.add(id(trio.lowlevel.current_task()))
        beat(actor, ctx)  # type: ignore[arg-type]

    monkeypatch.setattr(Heartbeats, "_beat", noted)
    with driven("task") as drive:
        assert run(load(HAPPY), 1, drive=drive).passed
    assert len(tasks) == 2


@pytest.mark.parametrize("place", ["end_pass", "execute"])
def test_an_error_of_the_engine_reaches_whoever_runs_the_world(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class StrangeError(Exception):
        pass

    def fail(*_: object) -> bool:
        raise StrangeError

    with driven("task") as drive:
        assert run(load(HAPPY), 1, drive=drive).passed
    monkeypatch.setattr(Engine, place, fail)
    with driven("task") as drive, pytest.raises((StrangeError, ExceptionGroup)) as caught:
        run(load(HAPPY), 1, drive=drive)
    assert "StrangeError" in repr(caught.value)


@pytest.mark.parametrize("name", TROUBLED)
def test_events_are_numbered_in_order_and_caused_by_earlier_ones(name: str) -> None:
    events = traced(name)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert all(event.cause is None or event.cause < event.seq for event in events)
    assert all(one.at <= other.at for one, other in itertools.pairwise(events))
    assert all(event.at <= 0 for event in events[: next(n for n, event in enumerate(events) if event.kind == "step")])
    known = sum(event.cause is not None for event in events if event.kind in ("turn", "call", "answer", "status", "operator"))
    assert known / len(events) > 0.9


def test_the_causes_of_an_active_peer_lead_back_to_the_step_of_the_operator() -> None:
    events = traced("happy-path")
    active = matches(events, "b active")[0]
    assert (active.host, active.kind, active.state) == ("b", "status", "active")
    chain = [events[seq - 1] for seq in causes(events, active)]
    whats = [event.what.split()[0] for event in chain]
    assert whats[0] == "enrolled"
    assert [event.what for event in chain if event.kind in ("call", "answer")] == [
        "200 /federation_api/heartbeat", "POST /federation_api/heartbeat", "200 /federation_api/accept", "POST /federation_api/accept",
    ]  # fmt: skip
    assert chain[-1].text.startswith("step accept on=b peer=a")


def test_a_trace_shows_crashes_and_no_secret() -> None:
    events = traced("minter-crashes-in-accept")
    assert [event.what for event in events if event.kind == "life" and event.host == "a"] == ["start", "crash", "start"]
    text = json.dumps([dict(event.document()) for event in events])
    assert "Secret(***)" in text
    assert "correct horse" not in text


def test_replay_shows_what_is_around_an_event() -> None:
    asked = replay(str(HAPPY), "--seed", "3", "--around", "b accepted", "--context", "2")
    shown = [line for line in asked.stdout.splitlines() if not line.startswith(("#", "around", "digest"))]
    assert len(shown) == 5
    assert "b status a: proposed > accepted" in shown[2]
    number = shown[2].split()[0]
    assert f"around {number}" in asked.stdout
    by_number = replay(str(HAPPY), "--seed", "3", "--around", number, "--context", "2")
    assert [line for line in by_number.stdout.splitlines() if line in shown] == shown
    assert " 30.000000 step propose" in replay(str(HAPPY), "--seed", "3", "--around", "29s", "--context", "0").stdout
    assert replay(str(HAPPY), "--seed", "3", "--around", "nobody knows").exit_code == 2


def test_replay_is_the_same_under_both_drivers_and_for_machines() -> None:
    outcomes = [replay(str(HAPPY), "--seed", "3", "--json", "--driver", driver) for driver in DRIVERS]
    assert outcomes[0].stdout == outcomes[1].stdout
    documents = [json.loads(line) for line in outcomes[0].stdout.splitlines()]
    assert documents[-1]["passed"]
    assert {"seq", "cause", "at_s", "host", "kind", "who", "what", "state"} <= documents[0].keys()


# --- schedules -------------------------------------------------------------------------------------------------------


def test_a_recorded_schedule_played_from_its_tape_gives_the_same_digest() -> None:
    scenario = load(ROOT / "scenarios/crossed-accepts.toml")
    for seed in range(3, 9):
        recorded = Recorded(Drawn(seed))
        drawn = run(scenario, seed, schedule=recorded)
        assert drawn.digest == run(scenario, seed).digest == run(scenario, seed, schedule=Tape(recorded.deviations)).digest


def test_a_tape_is_order_of_arrival_but_for_its_deviations() -> None:
    pick = Tape([Deviation("a", 1, 2), Deviation("a", 3, 9), Deviation("b", 0, 1)]).of("a")
    assert [pick(ready) for ready in (1, 3, 3, 1, 2, 4)] == [0, 0, 2, 0, 0, 3]


def test_a_deviation_is_read_as_it_is_written() -> None:
    assert parse_deviation(str(Deviation("a-b", 12, 1))) == Deviation("a-b", 12, 1)
    for wrong in ("", "a", "a:1", "a:1:x", ":1:1", "a:-1:1", "a:1:2:3"):
        with pytest.raises(ValueError, match="is no deviation"):
            parse_deviation(wrong)
