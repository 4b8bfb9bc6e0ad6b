"""Judging servers, remembered between the moments at which a verdict can change.

Lives here: the memory. Must not live here: a check; those are the production ones of `actors.certificates`. A host that calls a server
again and again would else parse the same certificates and verify the same signature on each call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs

from actors import certificates
from actors.limits import SKEW_MAX_S
from actors.ports import ServerExpectation

VERDICTS_MAX: Final = 65_536


@attrs.frozen
class _Verdict:
    """Holds from `since` to `until`, seconds since the epoch, neither included."""

    since: float
    until: float
    reason: str | None


class ServerChecks:
    """`certificates.verify_server` for many calls."""

    def __init__(self) -> None:
        self._verdicts: dict[tuple[tuple[bytes, ...], ServerExpectation], _Verdict] = {}

    def unproven(self, chain: tuple[bytes, ...], expectation: ServerExpectation, now: float) -> str | None:
        """Why the server that presented `chain` is not the one expected at `now`, or None."""
        key = (chain, expectation)
        known = self._verdicts.get(key)
        if known is not None and known.since < now < known.until:
            return known.reason
        reason = certificates.verify_server(chain, expectation, now=now)
        turns = (-math.inf, *_turning_points(chain, expectation), math.inf)
        if len(self._verdicts) >= VERDICTS_MAX:
            self._verdicts.clear()
        self._verdicts[key] = _Verdict(
            max(point for point in turns if point <= now), min(point for point in turns if point >= now), reason
        )  # fmt: skip
        return reason


def _turning_points(chain: Sequence[bytes], expectation: ServerExpectation) -> list[float]:
    """Every moment at which a date of one of the certificates concerned begins or ceases to count."""
    ders = list(chain)
    for pem in expectation.anchors_pem:
        blocks = certificates.pem_blocks(pem)
        ders += () if isinstance(blocks, str) else blocks
    parsed = [anchor for der in ders if not isinstance(anchor := certificates.parse_anchor(der), str)]
    skew_s = SKEW_MAX_S
    return [point for one in parsed for point in (one.not_before - skew_s, one.not_after + skew_s)]
