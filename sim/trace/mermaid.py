"""A film as a mermaid sequence diagram, for documents that are read as text.

Lives here: the words of the diagram. Heartbeats that changed nothing are counted in a note instead of drawn one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from api.cli.text import counted
from sim.trace.events import TraceEvent
from sim.trace.film import Film
from sim.trace.page import arrows

HEARTBEAT = "/federation_api/heartbeat"
_UNSAFE = re.compile(r"[;#<>{}\"\n\r]")
_NAME = re.compile(r"[^A-Za-z0-9_]")


def diagram(film: Film) -> str:
    """The diagram. Times stand in notes, seconds since the start of the scenario."""
    lines = ["sequenceDiagram", "    autonumber"]
    lines += [f"    participant {_alias(host)} as {_text(host)}" for host in film.hosts]
    lines += _body(film)
    return "\n".join(lines) + "\n"


def _body(film: Film) -> Iterator[str]:
    ends = {arrow["seq"]: arrow["end"] for arrow in arrows(film.events)}
    quiet = _quiet(film.events)
    skipped = 0
    for event in film.events:
        if event.at < 0:
            continue
        if event.seq in quiet:
            skipped += event.kind == "call"
            continue
        told = _line(event, ends, film)
        if told is None:
            continue
        if skipped:
            yield f"    Note over {_alias(film.hosts[0])}: {counted(skipped, 'heartbeat')} without a change"
            skipped = 0
        yield told
    if skipped:
        yield f"    Note over {_alias(film.hosts[0])}: {counted(skipped, 'heartbeat')} without a change"


def _quiet(events: list[TraceEvent]) -> frozenset[int]:
    """Numbers of the heartbeats, and of their answers, that led to no change of a status."""
    by_seq = {event.seq: event for event in events}
    telling: set[int] = set()
    for event in events:
        if event.kind == "status":
            cause = event.cause
            while cause is not None and cause not in telling:
                telling.add(cause)
                cause = by_seq[cause].cause if cause in by_seq else None
    frames = (event for event in events if event.kind in ("call", "answer") and event.what.endswith(HEARTBEAT))
    return frozenset(event.seq for event in frames if event.seq not in telling and not event.what.startswith(("4", "5")))


def _line(event: TraceEvent, ends: dict[int, float | None], film: Film) -> str | None:
    host = _alias(event.host) if event.host else ""
    if event.kind == "call":
        return f"    {host}->>{_alias(event.who)}: {_text(event.what)}"
    if event.kind == "answer":
        return f"    {host}{'-->>' if ends.get(event.seq) is not None else '--x'}{_alias(event.who)}: {_text(event.what)}"
    if event.kind == "status":
        return f"    Note over {host}: {event.at:.3f} s {_text(event.who)} {_text(event.what)}"
    if event.kind == "life":
        return f"    Note over {host}: {event.at:.3f} s {event.what}"
    if event.kind == "step":
        over = ",".join(dict.fromkeys((_alias(film.hosts[0]), _alias(film.hosts[-1]))))
        return f"    Note over {over}: {event.at:.3f} s {_text(event.what)}"
    return None


def _alias(name: str) -> str:
    return f"p_{_NAME.sub('_', name)}"


def _text(text: str) -> str:
    """Words that mean nothing to mermaid."""
    return _UNSAFE.sub(" ", text.replace(" > ", " → "))
