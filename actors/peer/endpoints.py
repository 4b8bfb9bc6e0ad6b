"""Where a peer can be reached, and what the prober learnt about it.

Lives here: parsing a declared list, the order of trying, the replacement of a list, and the bookkeeping after a probe.
Must not live here: dialling, name resolution, and the address policy (`actors.addresses` judges a host; the caller asks it).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, cast

from actors.addresses import is_literal
from actors.limits import (
    ENDPOINT_ERROR_CHARS_MAX,
    ENDPOINT_HUBS_MAX,
    ENDPOINT_PRIORITY_MAX,
    ENDPOINT_WAYS_MAX,
    ENDPOINTS_MAX,
    PROBE_FAILURES_TO_UNREACHABLE,
)
from actors.ports import ProbeTarget
from actors.problems import Problem
from actors.urls import Way, canonical_url, host_of
from runtime.clock import iso_or_none
from runtime.values import Value, evolve

Scope = Literal["lan", "sdwan", "wan"]
Reachability = Literal["unknown", "reachable", "unreachable"]

SCOPE_ORDER: Final[Mapping[Scope, int]] = {"lan": 0, "sdwan": 1, "wan": 2}
DEFAULT_SCOPE: Final[Scope] = "wan"
DEFAULT_PRIORITY: Final = 100
_DECLARED: Final = frozenset({"url", "scope", "priority", "cidr_hint", "via"})
_CIDR_CHARS_MAX: Final = 64


class Endpoint(Value, frozen=True):
    """One address of a peer.

    The first four are declared (by the operator or by the remote), the rest is what our own prober saw; times are wall seconds.

    Attributes:
        url: canonical base URL.
        priority: lower is tried first.
        cidr_hint: canonical network; try the URL only from an address inside it.
        via: canonical base URLs of hubs, best first: the URL is reached through them, and not by its own name.
        answered: the way by which it answered last, as our prober saw.
        last_failure_error: short reason of the last failure.
        consecutive_failures: failures since the last success.
    """

    url: str
    scope: Scope = DEFAULT_SCOPE
    priority: int = DEFAULT_PRIORITY
    cidr_hint: str | None = None
    status: Reachability = "unknown"
    last_verified_at: float | None = None
    last_failure_at: float | None = None
    last_failure_error: str | None = None
    consecutive_failures: int = 0
    via: tuple[str, ...] = ()
    answered: str | None = None

    @property
    def ways(self) -> tuple[str, ...]:
        """What to dial for it, in order: the hub that led there last, so that one that is away costs nobody a wait, then all others."""
        ways = [str(Way(self.url, hub)) for hub in self.via] or [self.url]
        return tuple(sorted(ways, key=lambda way: way != self.answered))

    def declared(self) -> dict[str, Any]:
        """The form that another platform is told."""
        told: dict[str, Any] = {"url": self.url, "scope": self.scope, "priority": self.priority}
        if self.cidr_hint is not None:
            told["cidr_hint"] = self.cidr_hint
        if self.via:
            told["via"] = list(self.via)
        return told

    def to_json(self) -> dict[str, Any]:
        """The form that the local operator sees."""
        return {
            "url": self.url,
            "scope": self.scope,
            "priority": self.priority,
            "cidr_hint": self.cidr_hint,
            "via": list(self.via),
            "status": self.status,
            "last_verified_at": iso_or_none(self.last_verified_at),
            "last_failure_at": iso_or_none(self.last_failure_at),
            "last_failure_error": self.last_failure_error,
            "consecutive_failures": self.consecutive_failures,
            "answered": self.answered,
        }


def parse_endpoints(
    value: object, problems: list[Problem], *, field: str = "endpoints", unknown_keys: bool = False
) -> tuple[Endpoint, ...]:
    """The endpoints in a declared list, in the order of trying. Every problem is appended with its index.

    Prober fields are never taken from a declaration. `unknown_keys` lets keys pass that this release does not know, as a remote of
    a later release may send them; an operator's are refused, since they are mistakes.
    """
    if not isinstance(value, list):
        problems.append(_problem(field, "must be an array of objects"))
        return ()
    if len(value) > ENDPOINTS_MAX:
        problems.append(_problem(field, f"has {len(value)} entries; at most {ENDPOINTS_MAX} are taken"))
        return ()
    if not value:
        return ()
    found: dict[str, Endpoint] = {}
    for index, entry in enumerate(value):
        place = f"{field}[{index}]"
        endpoint = _parse_entry(entry, place, problems, unknown_keys=unknown_keys)
        if endpoint is None:
            continue
        if endpoint.url in found:
            problems.append(_problem(f"{place}.url", "names the same URL as an earlier entry"))
        found.setdefault(endpoint.url, endpoint)
    ways = sum(len(endpoint.ways) for endpoint in found.values())
    if ways > ENDPOINT_WAYS_MAX:
        problems.append(_problem(field, f"amounts to {ways} ways to the platform; at most {ENDPOINT_WAYS_MAX} are taken"))
        return ()
    return in_order(found.values())


def _problem(field: str, message: str) -> Problem:
    return Problem(field, "invalid_endpoint", message)


def _parse_entry(entry: object, place: str, problems: list[Problem], *, unknown_keys: bool) -> Endpoint | None:
    if not isinstance(entry, dict):
        problems.append(_problem(place, "must be an object with a url"))
        return None
    before = len(problems)
    if not unknown_keys and not entry.keys() <= _DECLARED:
        problems.append(_problem(place, f"has an unknown key; the keys are {', '.join(sorted(_DECLARED))}"))
    url, cidr_hint = "", None
    try:
        url = canonical_url(entry.get("url"))
    except ValueError as error:
        problems.append(_problem(f"{place}.url", str(error)))
    scope = entry.get("scope", DEFAULT_SCOPE)
    if not isinstance(scope, str) or scope not in SCOPE_ORDER:
        problems.append(_problem(f"{place}.scope", f"must be one of {', '.join(SCOPE_ORDER)}"))
    priority = entry.get("priority", DEFAULT_PRIORITY)
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= ENDPOINT_PRIORITY_MAX:
        problems.append(_problem(f"{place}.priority", f"must be a whole number from 0 to {ENDPOINT_PRIORITY_MAX}"))
    try:
        cidr_hint = _parse_cidr(entry.get("cidr_hint"))
    except ValueError as error:
        problems.append(_problem(f"{place}.cidr_hint", str(error)))
    via = parse_hubs(entry.get("via"), url, problems, place=place)
    if len(problems) > before:
        return None
    return Endpoint(url, cast(Scope, scope), cast(int, priority), cidr_hint, via=via)


def parse_hubs(value: object, url: str, problems: list[Problem], *, place: str) -> tuple[str, ...]:
    """The hubs through which a platform says that its canonical `url` is reached. Every problem is appended."""
    if value is None:
        return ()
    field = f"{place}.via"
    if not isinstance(value, list | tuple) or not 0 < len(value) <= ENDPOINT_HUBS_MAX:
        problems.append(_problem(field, f"must be an array of one to {ENDPOINT_HUBS_MAX} URLs of hubs"))
        return ()
    if url and is_literal(host_of(url)):
        problems.append(_problem(field, "needs a url with a name, since a hub tells platforms apart by name"))
    hubs: list[str] = []
    for index, hub in enumerate(value):
        try:
            hubs.append(canonical_url(hub))
        except ValueError as error:
            problems.append(_problem(f"{field}[{index}]", str(error)))
    if len(set(hubs)) < len(hubs) or url in hubs:
        problems.append(_problem(field, "names a URL twice"))
    return tuple(hubs)


def _parse_cidr(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or "/" not in value or "%" in value or len(value) > _CIDR_CHARS_MAX:
        raise ValueError("must be a network such as 10.0.0.0/8 or fd00:1::/48")
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError("must be a network such as 10.0.0.0/8, without bits behind the mask") from None


def in_order(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """The order of trying: priority, then nearness (lan, sdwan, wan), then URL, so that every platform finds the same order."""
    return tuple(sorted(endpoints, key=lambda endpoint: (endpoint.priority, SCOPE_ORDER[endpoint.scope], endpoint.url)))


def candidates(endpoints: Sequence[Endpoint], peer_url: str | None) -> tuple[ProbeTarget, ...]:
    """What to dial, in order. The peer's own URL comes last, unless it is listed anyway or unknown (None).

    The list is not cut here: the prober counts only the targets that it does not skip for their hint.
    """
    if not endpoints:
        return () if peer_url is None else (ProbeTarget(peer_url),)
    listed = tuple(ProbeTarget(way, endpoint.cidr_hint) for endpoint in in_order(endpoints) for way in endpoint.ways)
    if peer_url is None or any(target.url == peer_url and target.cidr_hint is None for target in listed):
        return listed
    return (*listed, ProbeTarget(peer_url))


def replace(current: Sequence[Endpoint], declared: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """The declared list, with what the prober knows of every URL that was listed before."""
    if not declared:
        return ()
    known = {endpoint.url: endpoint for endpoint in current}
    return in_order(_with_probes_of(known.get(endpoint.url), endpoint) for endpoint in declared)


def reached_through(current: Sequence[Endpoint], url: str, hubs: tuple[str, ...]) -> tuple[Endpoint, ...]:
    """The list with one entry for `url`, by way of these hubs, which an invitation has named."""
    others = tuple(endpoint for endpoint in current if endpoint.url != url)[: ENDPOINTS_MAX - 1]
    return in_order((Endpoint(url, via=hubs), *others))


def _with_probes_of(before: Endpoint | None, declared: Endpoint) -> Endpoint:
    if before is None:
        return declared
    return evolve(before, scope=declared.scope, priority=declared.priority, cidr_hint=declared.cidr_hint, via=declared.via)


def after_probe(endpoint: Endpoint, error: str | None, now: float, answered: str | None = None) -> Endpoint:
    """What is known after one probe at wall time `now`; `error` None means that the endpoint answered, by the way `answered`.

    One success makes it reachable; it takes several failures in a row to call it unreachable, since packets get lost.
    """
    if error is None:
        return evolve(endpoint, status="reachable", last_verified_at=now, consecutive_failures=0, answered=answered)
    failures = endpoint.consecutive_failures + 1
    return evolve(
        endpoint,
        status="unreachable" if failures >= PROBE_FAILURES_TO_UNREACHABLE else endpoint.status,
        last_failure_at=now,
        last_failure_error=error[:ENDPOINT_ERROR_CHARS_MAX],
        consecutive_failures=failures,
    )
