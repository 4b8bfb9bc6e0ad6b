"""The judgement of a list that was read in a scenario notices a page that leaves out or repeats a record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.resource import pages
from actors.resource.pages import Page, PageRequest
from runtime.store.port import Store
from sim.scenario.load import load
from sim.scenario.run import run

SCENARIO = Path(__file__).parents[2] / "scenarios/record-changes-between-pages.toml"


def outcome() -> str | None:
    """What is wrong with the run, if anything."""
    failures = run(load(SCENARIO), 1).failures
    return "; ".join(failure.text for failure in failures) or None


def test_the_catalogue_as_it_is_passes() -> None:
    assert outcome() is None


@pytest.mark.parametrize(("fault", "told"), [("skips", "gap"), ("repeats", "repeat")])
def test_a_faulty_page_is_noticed(fault: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = pages.read

    def faulty(store: Store, request: PageRequest) -> Page:
        page = read(store, request)
        if page.complete or len(page.records) < 2:
            return page
        if fault == "skips":
            return Page(page.records[:-1], page.examined, page.complete)
        return Page(page.records, page.records[-2], page.complete)

    monkeypatch.setattr(pages, "read", faulty)
    text: Any = outcome()
    assert told in text
