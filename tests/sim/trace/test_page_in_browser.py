"""The page of a trace in a real browser: it draws, answers clicks and keys, and asks nobody for anything."""

from __future__ import annotations

from pathlib import Path

from sim.scenario.load import load
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
        page.mouse.wheel(0, -400)
        page.wait_for_function("before => document.getElementById('remark').textContent !== before", arg=remark)
