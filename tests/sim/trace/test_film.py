"""What is drawn is what happened, and drawing it changes nothing."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from runtime.values import evolve
from sim.cli import sim
from sim.scenario.load import load
from sim.scenario.run import run
from sim.scenario.schema import Scenario
from sim.trace.film import Film, Span
from sim.trace.mermaid import diagram
from sim.trace.page import DETAIL_CHARS_MAX, arrows, document, render

SCENARIOS = Path(__file__).parents[3] / "scenarios"


def filmed(name: str) -> tuple[Scenario, Film]:
    scenario = load(SCENARIOS / f"{name}.toml")
    film = Film()
    return scenario, film.finished(run(scenario, tracer=film.tracer, staged=film.staged))


def spans(film: Film, kind: str, host: str) -> list[Span]:
    return [span for span in film.spans if (span.kind, span.host) == (kind, host)]


def test_a_film_changes_nothing() -> None:
    scenario, film = filmed("caller-crashes-in-accept")
    assert film.result is not None
    assert film.result.digest == run(scenario).digest


def test_statuses_follow_each_other_without_gaps() -> None:
    _, film = filmed("degraded-and-recovered")
    statuses = spans(film, "status", "a")
    assert [span.label for span in statuses] == ["proposed", "accepted", "enrolled", "active", "degraded", "active"]
    assert all(one.end == other.start for one, other in itertools.pairwise(statuses))
    assert statuses[-1].end is None


def test_a_partition_is_a_span_in_each_direction() -> None:
    _, film = filmed("degraded-and-recovered")
    cuts = [(span.host, span.who, span.start, span.end) for span in film.spans if span.kind == "cut"]
    assert sorted(cuts) == [("a", "b", 300.0, 900.0), ("b", "a", 300.0, 900.0)]


def test_a_crash_is_a_span_until_the_next_start() -> None:
    _, film = filmed("caller-crashes-in-accept")
    downs = spans(film, "down", "b")
    assert len(downs) == 1
    assert downs[0].end is not None
    assert downs[0].end > downs[0].start


def test_credentials_have_lifetimes() -> None:
    _, film = filmed("happy-path")
    (token,) = spans(film, "token", "a")
    accepted = next(span for span in spans(film, "status", "a") if span.label == "accepted")
    assert token.end == accepted.start
    assert token.expires is not None
    assert token.expires > token.end
    (certificate,) = spans(film, "certificate", "a")
    assert certificate.who == "b"
    assert certificate.expires == pytest.approx(certificate.start + 90 * 86_400, abs=600)
    assert len(spans(film, "anchor", "b")) == 1


def test_what_has_expired_lasts_no_longer() -> None:
    _, film = filmed("grant-told-from-issue-to-end")
    first, *later = spans(film, "grant", "a")
    assert (first.start, first.end, first.expires) == (120.0, pytest.approx(3720.0), first.end)
    assert [(span.start, span.end) for span in later] == [(4200.0, 4260.0), (4860.0, None)]


def test_a_lost_answer_never_arrives() -> None:
    _, film = filmed("lost-accept-answer")
    answers = [arrow for arrow in arrows(film.events) if arrow["kind"] == "answer" and arrow["what"].endswith("/accept")]
    assert [arrow["end"] is None for arrow in answers] == [True, False]
    assert all(arrow["end"] > arrow["start"] for arrow in arrows(film.events) if arrow["end"] is not None)


def test_a_page_holds_all_of_it_and_nothing_from_elsewhere() -> None:
    scenario, film = filmed("lost-accept-answer")
    page = render(scenario, film)
    held = re.search(r'<script type="application/json" id="film">(.*?)</script>', page, re.DOTALL)
    assert held is not None
    assert json.loads(held[1]) == json.loads(json.dumps(document(scenario, film)))
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", page)


def test_a_page_holds_each_text_once_and_every_event_finds_its_own() -> None:
    scenario, film = filmed("lost-accept-answer")
    page = document(scenario, film)
    assert len(set(page["texts"])) == len(page["texts"])
    for event, told in zip(film.events, page["events"], strict=True):
        for name in ("message", "record"):
            value = getattr(event, name)
            shown = None if told[name] is None else page["texts"][told[name]]
            assert (shown is None) == (value is None)
            assert shown is None or repr(value).startswith(shown[:DETAIL_CHARS_MAX])


def test_a_page_of_many_thousand_events_stays_small() -> None:
    scenario, film = filmed("eight-platforms")
    assert len(film.events) > 5_000
    assert len(render(scenario, film)) < 800 * len(film.events)


def test_no_text_of_a_run_can_leave_its_place_in_the_page() -> None:
    scenario, film = filmed("happy-path")
    hostile = evolve(scenario, name="</script><script>alert(1)</script>")
    assert "<script>alert(1)" not in render(hostile, film)


def test_a_page_shows_no_token() -> None:
    scenario, film = filmed("happy-path")
    assert not re.search(r"[\w-]{43}\.[\w-]{22}\b", json.dumps(document(scenario, film)))


def test_a_diagram_counts_heartbeats_that_change_nothing() -> None:
    _, film = filmed("happy-path")
    text = diagram(film)
    assert text.startswith("sequenceDiagram\n")
    assert "Note over p_a: 0.000 s b none → proposed by registered\n" in text
    assert re.search(r"Note over p_a: \d+ heartbeats without a change", text)
    assert text.count("/federation_api/accept") == 2
    assert text.count("->>p_a: POST /federation_api/heartbeat") + text.count("->>p_b: POST /federation_api/heartbeat") <= 2


def test_the_command_writes_and_prints(tmp_path: Path) -> None:
    target = tmp_path / "out.html"
    done = CliRunner().invoke(sim, ["trace", str(SCENARIOS / "cancelled.toml"), "--html", str(target), "--mermaid"])
    assert done.exit_code == 0, done.output
    assert target.read_text().startswith("<!doctype html>")
    assert "sequenceDiagram" in done.output


def test_the_command_asks_how_to_draw() -> None:
    done = CliRunner().invoke(sim, ["trace", str(SCENARIOS / "cancelled.toml")])
    assert done.exit_code == 2
    assert "--html" in done.output
