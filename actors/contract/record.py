"""Contract versions: the exact text, its digest, and which versions are offered to new peers.

Lives here: the table of versions and what follows from it. Must not live here: what a single peer agreed to (its record says).

The text of a version never changes: the digest that both sides record is checked against the shipped file when this module is
imported, so a build with an altered text does not start. A change is a new version with a new file.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import attrs

from runtime.clock import iso_or_none

_VERSION = re.compile(r"v?([1-9][0-9]{0,5})", re.ASCII)


@attrs.frozen
class ContractVersion:
    """One version of the contract.

    Attributes:
        version: its number, from 1.
        text: the contract; `digest` covers its exact UTF-8 bytes.
        digest: lower-case hex SHA-256.
        effective_at: seconds since the epoch from which the version is offered; for display.
        deprecated_at: seconds since the epoch at which a release retired it, or None. A retired version still serves the peers that
            agreed to it, and is refused for new ones.
    """

    version: int
    text: str = attrs.field(repr=False)
    digest: str
    effective_at: float
    deprecated_at: float | None = None

    def to_json(self, *, is_supported: bool) -> dict[str, Any]:
        """The row of the operator surface's list (without the text)."""
        return {
            "version": self.version,
            "contract_digest": self.digest,
            "effective_at": iso_or_none(self.effective_at),
            "deprecated_at": iso_or_none(self.deprecated_at),
            "supported": is_supported,
        }


def load(version: int, digest: str, effective_at: float, deprecated_at: float | None = None) -> ContractVersion:
    """The version whose text is shipped as `version_<n>.txt`.

    Raises:
        ValueError: the shipped text is not the one with that digest.
        OSError: the text is not shipped.
    """
    raw = importlib.resources.files(__package__).joinpath(f"version_{version}.txt").read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != digest:
        raise ValueError(f"the text of contract version {version} was altered: its digest is {found}, not {digest}")
    return ContractVersion(version, raw.decode("utf-8"), digest, effective_at, deprecated_at)


VERSIONS: Final[tuple[ContractVersion, ...]] = (
    load(1, "2ea8aa42667e1f3ba838213a5c062b6238da312eda9fb6d1a764fe56c5e9f418", effective_at=1_795_392_000.0),
)
assert [entry.version for entry in VERSIONS] == list(range(1, len(VERSIONS) + 1)), "versions are numbered from 1 without a gap"


def supported(versions: Sequence[ContractVersion] = VERSIONS) -> tuple[ContractVersion, ...]:
    """The versions offered to new peers, newest first: the newest that is not retired, and the one before it unless that is retired."""
    return _offered(tuple(versions))


@lru_cache(maxsize=8)
def _offered(versions: tuple[ContractVersion, ...]) -> tuple[ContractVersion, ...]:
    usable = sorted((entry for entry in versions if entry.deprecated_at is None), key=lambda entry: -entry.version)
    return tuple(entry for entry in usable if entry.version >= usable[0].version - 1)


def find(version: int, versions: Sequence[ContractVersion] = VERSIONS) -> ContractVersion | None:
    """The version of that number, retired or not."""
    return next((entry for entry in versions if entry.version == version), None)


def parse_version(value: object) -> int | None:
    """The number in `1`, `"1"` or `"v1"`, the three spellings on the wire; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 < value < 1_000_000 else None
    found = _VERSION.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) if found else None
