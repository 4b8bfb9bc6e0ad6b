"""How often: token buckets and blocks, counted anew from the answers that leave.

Lives here: rules about rate limits: more than the limit allows is never served, and nobody waits for what others do. Counters of a platform
are volatile, so that a restart begins them again, here as there.
"""

from __future__ import annotations

import math
import re
from bisect import insort
from typing import Any, Final

import attrs

from actors.door.call import Answer
from sim.checkers.admission import REFUSALS, SERVED_CODE, code_of
from sim.checkers.registry import Checker, Visit, checker

LIMITED: Final = "rate_limited"
UNCOUNTED: Final = frozenset({"not_found", "schema_incompatible", "trust_frozen"})
"""What is said before any limit: by whoever holds no channels, between versions that do not fit, and by an earlier copy."""
INVALID: Final = "acceptance_token_invalid"
PER_PEER: Final = {
    "heartbeat": "heartbeat_per_peer", "trust_bundle": "trust_bundle_per_peer", "peer_events": "peer_events_per_peer",
    "certificate": "certificate_per_peer", "resources": "resources_per_peer", "service_catalog": "catalog_per_peer",
    "subscriptions": "subscriptions_per_peer", "grants": "grants_per_peer", "grant_deliveries": "grants_per_peer",
    "channel": "channels_per_peer", "relayed": "relayed_per_peer", "audit_excerpts": "audit_excerpts_per_peer",
}  # fmt: skip
PEERS: Final = "/api/v1/system/platform/peers"
REGENERATED: Final = re.compile(PEERS + "/([0-9a-f-]{36})/acceptance_token")
ROUNDING: Final = 1e-6
LATELY_MAX: Final = 64


@attrs.define
class Bucket:
    """A bucket of tokens that fills by itself up to its burst.

    What is answered first may have come last, so that those which came lately are kept in order and counted anew: from `tokens`, which
    there were at `at`, before the first of them.
    """

    burst: float
    per_s: float
    tokens: float = attrs.field(default=attrs.Factory(lambda self: self.burst, takes_self=True))
    at: float = -math.inf
    lately: list[float] = attrs.field(factory=list)
    left: float = 0.0

    def take(self, at: float) -> bool:
        """Whether there was a token for what came at a moment, and for all that came after it."""
        if not self.lately or at >= self.lately[-1]:
            last = self.lately[-1] if self.lately else self.at
            least = self.left = min(self.burst, (self.left if self.lately else self.tokens) + (at - last) * self.per_s) - 1.0
            self.lately.append(at)
        else:
            insort(self.lately, at)
            least = self._count(self.lately)
        if len(self.lately) > LATELY_MAX:
            gone, self.lately = self.lately[: LATELY_MAX // 2], self.lately[LATELY_MAX // 2 :]
            left = self.left
            self._count(gone)
            self.tokens, self.at, self.left = self.left, gone[-1], left
        return least >= -ROUNDING

    def _count(self, moments: list[float]) -> float:
        """The least that there were after any of these, in order; `left` is what there were after the last."""
        tokens, last, least = self.tokens, self.at, self.burst
        for moment in moments:
            tokens = min(self.burst, tokens + (moment - last) * self.per_s) - 1.0
            last, least = moment, min(least, tokens)
        self.left = tokens
        return least


@checker("rates", source="docs/protocol.md")
class Rates(Checker):
    """No source, peer or operator is served more often than its limit, bursts included."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._buckets: dict[tuple[str, str, str], Bucket] = {}

    def on_start(self, host: Any) -> None:
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if key[0] != host.name}

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        code, address = code_of(answer), visit.call.source.address
        if code == LIMITED:
            return
        if visit.route == "accept":
            self._take(visit, "accept_per_source", address)
            self._take(visit, "accept_overall", "")
        elif code in REFUSALS and self.facts.now <= visit.at:
            # The door refuses at once; what it let in and the row refused later has cost what the call costs.
            self._take(visit, "unknown_certificate_per_source", address)
        elif visit.route in PER_PEER and code not in UNCOUNTED:
            self._take(visit, PER_PEER[visit.route], visit.notes.get("peer") or "")

    def on_operator_answer(self, visit: Visit, answer: Answer) -> None:
        if visit.call.path.endswith("/auth/login") and code_of(answer) != LIMITED:
            self._take(visit, "login_per_source", visit.call.source.address)
        # Whether a peer exists is asked after its limit, so that `peer_exists` has cost a token as well.
        elif visit.call.method == "POST" and visit.call.path == PEERS and answer.status in (201, 409):
            self._take(visit, "propose_per_operator", "")
        elif (found := REGENERATED.fullmatch(visit.call.path)) is not None and answer.status == 201:
            self._take(visit, "regenerate_per_peer", found[1])

    def _take(self, visit: Visit, name: str, key: str) -> None:
        limit = visit.host.federation.rate_limits[name]
        bucket = self._buckets.setdefault((visit.host.name, name, key), Bucket(float(limit.burst), limit.rate / limit.per_s))
        if not bucket.take(visit.at):
            self.complain(visit.host, f"{name}: more is served than {limit.rate} in {limit.per_s:g} s with a burst of {limit.burst}")


@checker("own_limits", source="docs/protocol.md")
class OwnLimits(Checker):
    """A peer is told to wait for its own calls only: one that has made none for as long as its bucket takes to fill is served."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._came: list[Visit] = []
        self._last: dict[tuple[str, str, str], float] = {}

    def on_start(self, host: Any) -> None:
        self._came = [visit for visit in self._came if visit.host.name != host.name]
        self._last = {key: at for key, at in self._last.items() if key[0] != host.name}

    def on_call(self, visit: Visit) -> None:
        if visit.route in PER_PEER:
            self._came.append(visit)

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        if visit.route not in PER_PEER:
            return
        # Whose call it is has been found out by now, for each that came before this answer.
        for each in self._came:
            key = (each.host.name, PER_PEER[each.route], each.notes.get("peer") or "")
            each.notes["quiet_s"] = each.at - self._last.get(key, -math.inf)
            self._last[key] = each.at
        self._came.clear()
        if code_of(answer) != LIMITED or visit.notes.get("verdict") != SERVED_CODE:
            return
        limit = visit.host.federation.rate_limits[PER_PEER[visit.route]]
        quiet_s = visit.notes.get("quiet_s", 0.0)
        if quiet_s > limit.burst * limit.per_s / limit.rate:
            self.complain(visit.host, f"{visit.route}: {visit.source} is told to wait, and has not called for {quiet_s:.0f} s")


@checker("blocks", source="docs/protocol.md")
class Blocks(Checker):
    """A source that has failed several times in a row is not listened to for a while."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._failures: dict[tuple[str, str], tuple[int, float]] = {}
        self._blocked: dict[tuple[str, str], tuple[float, float]] = {}

    def on_start(self, host: Any) -> None:
        for known in (self._failures, self._blocked):
            for key in [key for key in known if key[0] == host.name]:
                del known[key]

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        if visit.route != "accept":
            return
        key, code, federation, now = (visit.host.name, visit.call.source.address), code_of(answer), visit.host.federation, self.facts.now
        since, until = self._blocked.get(key, (0.0, 0.0))
        if since < visit.at < until and code != LIMITED:
            self.complain(visit.host, f"an accept from {key[1]} is listened to {visit.at - since:.0f} s after it was blocked")
        if answer.status < 400:
            self._failures.pop(key, None)
        if code != INVALID:
            return
        count, last_at = self._failures.get(key, (0, now))
        count = 1 if now - last_at >= federation.accept_block_s else count + 1
        if count >= federation.accept_block_after:
            self._blocked[key], count = (now, now + federation.accept_block_s), 0
        self._failures[key] = (count, now)
