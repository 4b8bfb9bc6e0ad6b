"""The page of a trace in a real browser: it draws, answers clicks and keys, and asks nobody for anything."""

from __future__ import annotations

from pathlib import Path

from sim.scenario.load import load, parse
from sim.scenario.run import run
from sim.trace.film import Film
from sim.trace.page import render
from tests.support.browser import open_page

SCENARIOS = Path(__file__).parents[3] / "scenarios"


def test_a_page_draws_and_tells_what_led_to_what(tmp_path: Path) -> None:
    scenario = load(SCENARIOS / "degraded-and-recovered.toml")
    film = Film()
    film.finished(run(scenario, tracer=film.tracer, staged=film.staged))
    target = tmp_path / "trace.html"
    target.write_text(render(scenario, film), encoding="utf-8")
    with open_page(target.as_uri()) as page:
        assert page.text_content("h1") == scenario.name
        drawn = page.eval_on_selector_all("svg .bar", "bars => bars.length")
        assert drawn >= 12
        page.fill("#find", "b degraded")
        page.press("#find", "Enter")
        assert "degraded" in (page.text_content("#panel-title") or "")
        page.click("#panel-links button")
        cause = page.text_content("#panel-facts")
        page.focus("#picture")
        page.keyboard.press("ArrowRight")
        assert page.text_content("#panel-facts") != cause
        page.locator("svg .tick.saved").nth(2).click(force=True)
        assert "status=" in (page.text_content("#panel-state") or "")
        page.check("input[value=time]")
        page.uncheck("#show-heartbeats")
        remark = page.text_content("#remark")
        page.keyboard.press("Home")
        page.locator("#picture").hover(position={"x": 600, "y": 60})
        page.keyboard.down("Control")
        page.mouse.wheel(0, -400)
        page.keyboard.up("Control")
        page.wait_for_function("before => document.getElementById('remark').textContent !== before", arg=remark)


def test_heartbeats_that_stand_close_together_are_pale_and_others_are_not(tmp_path: Path) -> None:
    scenario, film = load(SCENARIOS / "nat-changes-address.toml"), Film()
    film.finished(run(scenario, tracer=film.tracer, staged=film.staged))
    target = tmp_path / "trace.html"
    target.write_text(render(scenario, film), encoding="utf-8")
    with open_page(target.as_uri()) as page:
        assert " 60 s" not in (page.text_content("#axis") or "")
        shown = page.eval_on_selector_all("svg g:has(> .arrow)", "all => all.map(each => [each.textContent, each.style.opacity])")
        assert all(opacity == "" for text, opacity in shown if "/heartbeat" not in text)
        pale = [float(opacity) for _, opacity in shown if opacity]
        assert pale
        assert max(pale) < 1
        assert page.evaluate("clock(599.6)") == "10 min 0 s"
        # A mapping belongs to a box, which is no platform.
        page.evaluate("selectSpan(film.spans.find(span => span.kind === 'mapping'))")
        terms = page.eval_on_selector_all("#panel-facts dt", "all => all.map(term => term.textContent)")
        assert terms[:3] == ["kind", "box", "inside"]


MANY = """
name = "many"
description = "Forty platforms peer with one of them."
world = { for = "5m" }
platform = [{ name = "p", count = 40, unlimited = true }, { name = "hub", unlimited = true }]
at = [{ t = 0, do = "mesh", of = ["p"], with = "hub", within = "3m" }, { t = "4m", do = "split", of = ["p1", "p2", "p3"] }]
"""


def test_many_platforms_are_folded_filtered_and_drawn_near_the_window_only(tmp_path: Path) -> None:
    scenario, film = parse(MANY, "many.toml"), Film()
    film.finished(run(scenario, tracer=film.tracer, staged=film.staged))
    target = tmp_path / "trace.html"
    target.write_text(render(scenario, film), encoding="utf-8")
    with open_page(target.as_uri()) as page:
        names = "Array.from(document.querySelectorAll('svg .name')).map(name => name.textContent)"
        folded = page.evaluate(names)
        assert folded[:3] == ["▸ network", "▸ p1", "▸ p2"]
        # Lanes far below the window are not drawn before it is scrolled to them.
        assert "▸ hub" not in folded
        page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_function("() => Array.from(document.querySelectorAll('svg .name')).some(name => name.textContent === '▸ hub')")
        page.fill("#only", "p1 hub")
        page.wait_for_function("() => document.querySelectorAll('svg .name').length <= 3")
        assert page.evaluate(names) == ["▾ network", "▾ p1", "▾ hub"]
        assert "2 of 41 platforms" in (page.text_content("#remark") or "")
        assert page.get_by_text("sees p1", exact=True).count() == 1
        assert page.get_by_text("sees p2", exact=True).count() == 0
        page.get_by_text("▾ hub").click()
        assert page.get_by_text("sees p1", exact=True).count() == 0
        # What is found on a platform that is filtered out brings it back.
        page.fill("#find", page.evaluate("String(film.events.find(event => event.host === 'p7' && event.at >= 0).seq)"))
        page.press("#find", "Enter")
        assert "p7" in page.input_value("#only").split()
