"""What chance puts around the steps of a generated scenario: how platforms are set up, the ways between them, and the boxes before them.

Lives here: platforms, links, NATs and firewalls. Must not live here: steps (see `generate`).

Whole families of trouble are drawn together or not at all, for the same reason as faults are: what always happens hides what needs quiet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sim.draws import DURATIONS_S, NATS, Draw, often, pair, signed, span
from sim.reduction import tables, with_tables
from sim.scenario.schema import DEPENDENCES
from sim.scenario.write import Document, duration

LIFETIMES_S: Final = DURATIONS_S[9:]
"""Of what must last long enough for a handshake."""


def platform(draw: Draw, name: str) -> dict[str, Any]:
    """A platform: clock, disk, release, settings, credentials."""
    made: dict[str, Any] = {"name": name}
    if often(draw, 20):
        made["fsync"] = duration(draw.among(DURATIONS_S[:6]))
    if often(draw, 15):
        made["clock_offset"] = signed(draw, ())
    if often(draw, 5):
        made["clock_drift"] = draw.among((1e-4, -1e-4, 1e-2, -1e-2))
    if often(draw, 8):
        made["release"] = "former"
    if often(draw, 15):
        made["dns_ttl"] = duration(draw.among((1.0, 10.0, 60.0, 3_600.0)))
    if often(draw, 20):
        made |= _settings(draw)
    if often(draw, 15):
        made |= _credentials(draw)
    return made


def _settings(draw: Draw) -> dict[str, Any]:
    """Other settings of the federation than the defaults."""
    made: dict[str, Any] = {"heartbeat_interval": duration(draw.among((10.0, 30.0, 120.0)))}
    if often(draw, 50):
        made["stale_after"] = duration(draw.among((60.0, 300.0, 1_800.0)))
    if often(draw, 30):
        made["heartbeat_eager"] = False
    if often(draw, 50):
        made["peer_channel"] = False
    if often(draw, 30):
        made["revocation_grace"] = duration(draw.among((10.0, 60.0, 1_800.0)))
    if often(draw, 20):
        made["unlimited"] = True
    return made


def _credentials(draw: Draw) -> dict[str, Any]:
    """Tokens, certificates and authorities that end soon, or are not valid yet."""
    made: dict[str, Any] = {}
    if often(draw, 40):
        made["token_ttl"] = duration(draw.among(LIFETIMES_S))
    if often(draw, 40):
        made["ca_ends_in"] = duration(draw.among(LIFETIMES_S))
    elif often(draw, 20):
        made["ca_begins_in"] = duration(draw.among(LIFETIMES_S))
    if often(draw, 40):
        made["listener_ttl"] = duration(draw.among(LIFETIMES_S))
    if often(draw, 40):
        life_s = draw.among((600.0, 1_800.0, 3_600.0))
        made |= {"cert_ttl": duration(life_s), "cert_warn": duration(life_s / 2), "cert_renew_at": duration(life_s / 3)}
    if often(draw, 30):
        made["cert_auto_renew"] = False
    return made


def links(draw: Draw, names: Sequence[str]) -> list[dict[str, Any]]:
    """Ways that are not as short and sure as usual."""
    if not often(draw, 30):
        return []
    link: dict[str, Any] = {"between": pair(draw, names), "latency": span(draw, names)}
    if often(draw, 30):
        link["loss"] = draw.among((0.01, 0.1, 0.3))
    if often(draw, 20):
        link |= {"rate": draw.among((1_000, 100_000, 10_000_000)), "queue": draw.among((1_000, 64_000, 1_000_000))}
    return [link]


def with_nats(draw: Draw, document: Document, percent: int) -> Document:
    """A copy in which, that often, some platforms stand behind boxes; otherwise none does."""
    rows = [{key: value for key, value in row.items() if key != "nat"} for row in tables(document, "platform")]
    boxes: list[dict[str, Any]] = []
    if often(draw, percent):
        boxes = [_nat(draw, NATS[0])]
        if often(draw, 30):
            # A carrier's before one's own, or one more beside it.
            boxes.append({**_nat(draw, NATS[1]), **({"behind": NATS[0]} if often(draw, 50) else {})})
        for row in rows:
            if row.get("count", 1) == 1 and often(draw, 50):
                row["nat"] = draw.among(boxes)["name"]
        inside = [row for row in rows if "nat" in row]
        if inside and often(draw, 50):
            lucky = draw.among(inside)
            next(box for box in boxes if box["name"] == lucky["nat"])["forward"] = lucky["name"]
    return with_tables(with_tables(document, "platform", rows), "nat", boxes)


def _nat(draw: Draw, name: str) -> dict[str, Any]:
    """A box on the axes of RFC 4787; one that does not translate is a firewall."""
    made: dict[str, Any] = {
        "name": name,
        "mapping": draw.among(DEPENDENCES),
        "filtering": draw.among(DEPENDENCES),
        "allocation": draw.among(("preserve", "sequential", "random")),
    }
    if often(draw, 50):
        made["tcp_timeout"] = duration(draw.among((1.0, 30.0, 60.0, 300.0)))
    if often(draw, 30):
        made["hairpin"] = True
    if often(draw, 20):
        made["translates"] = False
    return made
