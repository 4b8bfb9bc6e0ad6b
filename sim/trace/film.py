"""A run as it is drawn: its events, and what lasted a while between them.

Lives here: spans of time (statuses, processes, cuts, mappings of NATs, lifetimes of credentials), gathered while a world runs. Must not
live here: how anything looks (see `page`, `mermaid`). A film changes nothing: with and without one a world takes the same course.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from sim.checkers.registry import Commit
from sim.checkers.secrecy import Secrecy
from sim.trace.events import TraceEvent
from sim.trace.lifetimes import LIFETIMES
from sim.trace.tracer import Tracer

if TYPE_CHECKING:
    from sim.scenario.run import Result
    from sim.scenario.stage import Stage

LINKS_LOOKED_AT_MAX: Final = 200
"""A world with more links than this is asked for cuts after steps only."""


@attrs.define(eq=False)
class Span:
    """Something that lasted. Times are seconds since the start of the scenario.

    Attributes:
        kind: `status`, `down`, `cut`, `mapping`, or the kind of a lifetime.
        host: in whose lane; of a cut the sender, of a mapping the box.
        who: the peer, the other end, or what the mapping stands for.
        label: for people; of a status the status.
        start, end: `end` None: it lasted to the end of the run.
        expires: when it would end by itself, as the clock of its host went when it was last written; `end` is no later.
    """

    kind: str
    host: str
    who: str
    label: str
    start: float
    end: float | None = None
    expires: float | None = None

    def document(self) -> Mapping[str, Any]:
        """For machines."""
        return attrs.asdict(self)


class Film:
    """Watches one run. Hand `tracer` and `staged` to it; the rest is there when the run has ended."""

    def __init__(self) -> None:
        self.tracer = Tracer(self._event)
        self.events: list[TraceEvent] = []
        self.spans: list[Span] = []
        self.hosts: list[str] = []
        self.end = 0.0
        self.result: Result | None = None
        self._stage: Stage | None = None
        self._open: dict[tuple[str, ...], Span] = {}

    def staged(self, stage: Stage) -> None:
        """The platforms of the run are there."""
        self._stage = stage
        self.hosts = list(stage.world.hosts)
        stage.watch.followers.append(self._committed)

    def finished(self, result: Result) -> Film:
        """The run has ended with this."""
        self.result = result
        self.end = self._stage.now if self._stage is not None else 0.0
        for span in self.spans:
            # A record may stay as it is when it expires: whoever asks looks at the clock.
            if span.expires is not None and span.expires < (self.end if span.end is None else span.end):
                span.end = max(span.start, span.expires)
        return self

    def flaw_in(self, text: str) -> str | None:
        """What a text tells of this run that nobody may be told, or None."""
        secrecy = None if self._stage is None else self._stage.watch.checkers.get("secrecy")
        return secrecy.flaw_in(text) if isinstance(secrecy, Secrecy) else None

    # --- events --------------------------------------------------------------------------------------------------

    def _event(self, event: TraceEvent) -> None:
        former = self.events[-1] if self.events else event
        self.events.append(event)
        if event.kind == "life":
            self._begin_or_end("down", event.host, "", "down", event.at, event.what == "crash")
        elif event.kind == "status":
            self._take(Span("status", event.host, event.who, event.state, event.at))
        # A step is told before it acts, so what is new after one has begun with it.
        self._look_at_network(former.at if former.kind == "step" else event.at, around_step="step" in (former.kind, event.kind))

    def _take(self, span: Span) -> None:
        """`span` follows on whatever was open in its place."""
        key = (span.kind, span.host, span.who)
        former = self._open.get(key)
        if former is not None:
            former.end = span.start
        self._open[key] = span
        self.spans.append(span)

    def _begin_or_end(self, kind: str, host: str, who: str, label: str, at: float, on: bool) -> None:
        key = (kind, host, who)
        if on and key not in self._open:
            self._open[key] = Span(kind, host, who, label, at)
            self.spans.append(self._open[key])
        elif not on and key in self._open:
            self._open.pop(key).end = at

    # --- the network ---------------------------------------------------------------------------------------------

    def _look_at_network(self, at: float, *, around_step: bool) -> None:
        if self._stage is None:
            return
        world, now = self._stage.world, self._stage.world.timeline.now
        if len(world.links) <= LINKS_LOOKED_AT_MAX or around_step:
            for (source, target), link in world.links.items():
                self._begin_or_end("cut", source, target, "nothing passes", at, link.is_cut(now))
        for name, box in world.network.nats.items():
            self._mappings(name, at, ((f"{m.transport} {_endpoint(m.inside)}", _endpoint(m.outside)) for m in box.mappings(now)))

    def _mappings(self, box: str, at: float, found: Iterable[tuple[str, str]]) -> None:
        there = dict(found)
        for key in [key for key in self._open if key[:2] == ("mapping", box) and key[2] not in there]:
            self._open.pop(key).end = at
        for inside, outside in there.items():
            self._begin_or_end("mapping", box, inside, f"{inside} is {outside} outside", at, True)

    # --- lifetimes -----------------------------------------------------------------------------------------------

    def _committed(self, commit: Commit) -> None:
        assert self._stage is not None
        at, wall = self._stage.now, commit.host.clock.wall()
        for change in commit.changes:
            read = LIFETIMES.get(change.kind)
            if read is None:
                continue
            held = {life.key: life for life in (read(change.after.record) if change.after is not None else ())}
            mark = f"{change.kind}/{change.id}"
            for gone in [key for key in self._open if key[:2] == (mark, commit.host.name) and key[2] not in held]:
                self._open.pop(gone).end = at
            for key, life in held.items():
                self._hold((mark, commit.host.name, key), life.kind, life.label, life.peer_id, at, at + life.not_after - wall)

    def _hold(self, key: tuple[str, str, str], kind: str, label: str, peer_id: str, at: float, expires: float) -> None:
        span = self._open.get(key)
        if span is None:
            span = self._open[key] = Span(kind, key[1], self._peer(key[1], peer_id), label, at)
            self.spans.append(span)
        span.label, span.expires = label, expires

    def _peer(self, host: str, peer_id: str) -> str:
        """The name of the platform behind a row."""
        assert self._stage is not None
        world = self._stage.world
        row = world.hosts[host].store.load("peer", peer_id)
        url = None if row is None else row.record.remote_instance_url
        return next((other.name for other in world.hosts.values() if other.url == url), url or "")


def _endpoint(endpoint: tuple[str, int]) -> str:
    return f"{endpoint[0]}:{endpoint[1]}"
