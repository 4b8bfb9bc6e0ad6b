"""A film as one self-contained HTML page: nothing is fetched, and the page works from a file.

Lives here: what the page is given, as one JSON document, and putting the page together. Must not live here: layout and interaction (see
`page.js`, `page.css`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Final

from sim.scenario.schema import Scenario
from sim.trace.events import TraceEvent
from sim.trace.film import Film

DETAILS_MAX: Final = 20_000
"""Events of a longer run are shown without message and record, so that the page still opens."""
DETAIL_CHARS_MAX: Final = 4_000


def render(scenario: Scenario, film: Film) -> str:
    """The page."""
    here = files("sim.trace")
    # No text of a run can end the script element or begin a comment in it.
    data = json.dumps(document(scenario, film), separators=(",", ":")).replace("<", "\\u003c")
    page = (here / "page.html").read_text(encoding="utf-8")
    for name, text in (
        ("style", (here / "page.css").read_text(encoding="utf-8")),
        ("script", (here / "page.js").read_text(encoding="utf-8")),
    ):
        page = page.replace(f"/* {name} */", text)
    return page.replace('"data"', data)


def document(scenario: Scenario, film: Film) -> Mapping[str, Any]:
    """All that the page shows. What messages and records say stands once in `texts`, however many events show it."""
    result = film.result
    assert result is not None
    details = len(film.events) <= DETAILS_MAX
    texts: dict[str, int] = {}
    return {
        "name": scenario.name,
        "description": scenario.description.strip(),
        "file": scenario.path,
        "seed": result.seed,
        "digest": result.digest,
        "end": film.end,
        "hosts": film.hosts,
        "events": [_event(event, texts if details else None) for event in film.events],
        "texts": list(texts),
        "spans": [dict(span.document()) for span in film.spans],
        "arrows": list(arrows(film.events)),
        "failures": [{"checker": failure.checker, "at": failure.at, "text": failure.text} for failure in result.failures],
    }


def arrows(events: list[TraceEvent]) -> Iterator[Mapping[str, Any]]:
    """What went from one platform to another: when it left, when it arrived, `end` None if it never did.

    A request is traced where it arrives, and its cause is the turn that sent it; an answer is traced where it leaves, and arrives with the
    first turn that it causes.
    """
    by_seq = {event.seq: event for event in events}
    first_effect: dict[int, TraceEvent] = {}
    for event in events:
        if event.cause is not None:
            first_effect.setdefault(event.cause, event)
    for event in events:
        way = {"seq": event.seq, "kind": event.kind, "from": event.host, "to": event.who, "what": event.what}
        if event.kind == "call":
            sent = by_seq.get(event.cause or 0)
            start = sent.at if sent is not None and sent.host == event.host else event.at
            yield {**way, "start": start, "end": event.at}
        elif event.kind == "answer":
            arrived = first_effect.get(event.seq)
            end = arrived.at if arrived is not None and arrived.host == event.who else None
            yield {**way, "start": event.at, "end": end}


def _event(event: TraceEvent, texts: dict[str, int] | None) -> Mapping[str, Any]:
    """One event. Its message and record are numbers of `texts`, for most turns leave a record as it was; None: they are not shown."""
    told = {**event.document(), "text": event.text}
    told["at"] = told.pop("at_s")
    for name in ("message", "record"):
        text = told[name]
        told[name] = None if text is None or texts is None else texts.setdefault(_shortened(text), len(texts))
    return told


def _shortened(text: str) -> str:
    return text if len(text) <= DETAIL_CHARS_MAX else f"{text[:DETAIL_CHARS_MAX]} … ({len(text)} characters)"
