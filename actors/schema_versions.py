"""Which platform versions understand each other.

Lives here: parsing of platform versions and their negotiation. Must not live here: the storage of operators' rows, or the refusal of calls.

The first hit decides: a row that an operator wrote, a row that the release ships, else the implicit rule (same major number, minor
numbers at most one apart, patch numbers ignored), else the two are incompatible. A remote that names no version is reported as
incompatible but nothing is withheld from it: silence is a matter for a finding, not for an outage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, Literal

from runtime.values import Value

Compatibility = Literal["compatible", "degraded", "incompatible"]
RowSource = Literal["operator", "default"]
ResultSource = Literal["operator", "default", "implicit"]

MINOR_DISTANCE_MAX: Final = 1
_VERSION = re.compile(r"v?(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})(?:\.(0|[1-9][0-9]{0,5}))?(?:[-+][0-9A-Za-z.+-]{1,48})?", re.ASCII)


class PlatformVersion(Value, frozen=True):
    """The numbers of a version; a missing patch number counts as 0."""

    major: int
    minor: int
    patch: int


class MatrixRow(Value, frozen=True):
    """What somebody decided about one pair of versions.

    Attributes:
        local_version, remote_version: the pair, as text; compared by their numbers where both have some, else as text.
        blocked_kinds: resource kinds that a `degraded` pair does not exchange.
        source: `operator` for a local decision, `default` for one shipped with the release.
    """

    local_version: str
    remote_version: str
    status: Compatibility
    notes: str = ""
    source: RowSource = "operator"
    blocked_kinds: tuple[str, ...] = ()


class SchemaCompatibility(Value, frozen=True):
    """The outcome of a negotiation. `remote_version` is None if the remote named none."""

    status: Compatibility
    source: ResultSource
    local_version: str
    remote_version: str | None
    notes: str
    blocked_kinds: tuple[str, ...] = ()

    @property
    def blocks_calls(self) -> bool:
        """Whether only heartbeats, trust calls and peer events may pass."""
        return self.status == "incompatible" and self.remote_version is not None

    def blocks_kind(self, kind: str) -> bool:
        """Whether resources of that kind are not exchanged."""
        return self.blocks_calls or kind in self.blocked_kinds

    def to_json(self) -> dict[str, Any]:
        """The form that a heartbeat's answer carries."""
        return {
            "status": self.status,
            "source": self.source,
            "local_version": self.local_version,
            "remote_version": self.remote_version,
            "notes": self.notes,
        }


@lru_cache(maxsize=1_024)
def parse_platform_version(text: str | None) -> PlatformVersion | None:
    """The numbers of `1.4`, `1.4.2`, `v1.4.2-rc1` and the like (after SemVer 2.0); None for anything else."""
    found = _VERSION.fullmatch(text) if text is not None else None
    return PlatformVersion(int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def negotiate(local: str, remote: str | None, rows: Iterable[MatrixRow] = ()) -> SchemaCompatibility:
    """How the local and the remote version get on.

    `remote` is the text that the remote reported, None if it reported none. Of two rows for one pair the operator's decides.
    """
    return _negotiate(local, remote, tuple(rows))


@lru_cache(maxsize=1_024)
def _negotiate(local: str, remote: str | None, rows: tuple[MatrixRow, ...]) -> SchemaCompatibility:
    if not remote:
        return SchemaCompatibility("incompatible", "implicit", local, None, "the remote reported no version; nothing is withheld")
    hits = {row.source: row for row in rows if _same(row.local_version, local) and _same(row.remote_version, remote)}
    row = hits.get("operator") or hits.get("default")
    if row is not None:
        blocked = row.blocked_kinds if row.status == "degraded" else ()
        return SchemaCompatibility(row.status, row.source, local, remote, row.notes, blocked)
    status, notes = _implicit(parse_platform_version(local), parse_platform_version(remote))
    return SchemaCompatibility(status, "implicit", local, remote, notes)


def _same(first: str, second: str) -> bool:
    left, right = parse_platform_version(first), parse_platform_version(second)
    return first == second if left is None or right is None else left == right


def _implicit(local: PlatformVersion | None, remote: PlatformVersion | None) -> tuple[Compatibility, str]:
    if local is None or remote is None:
        return "incompatible", "a version that is not of the form major.minor.patch cannot be compared"
    if local.major != remote.major:
        return "incompatible", "the major versions differ"
    if abs(local.minor - remote.minor) > MINOR_DISTANCE_MAX:
        return "incompatible", "the minor versions are more than one release apart"
    return "compatible", "the same release line or its neighbour"
