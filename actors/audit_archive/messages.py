"""What may be said to the archivist and the pruner of an account."""

from __future__ import annotations

from runtime.actor import CallResult
from runtime.values import Value


class ShipNow(Value, frozen=True):
    """Run at once, as the daily run would. Answers `Shipped`, or a fault if a run is under way."""

    by: str | None


class Shipped(Value, frozen=True):
    """What a run did.

    Attributes:
        swept_peers: how many peers were looked at; `swept_chains` how many chains, theirs among them.
        shipped: how many shipments are verified; `entries` how many entries they hold.
        failures: how many are not.
    """

    swept_peers: int
    shipped: int
    entries: int
    failures: int
    swept_chains: int


class PruneNow(Value, frozen=True):
    """Prune at once, as the daily run would. Answers `Pruned`, or a fault if pruning is off, or a run is under way.

    Attributes:
        dry_run: read everything back as for a run, and remove nothing.
        limit: how many shipments to take at most; None for all.
    """

    by: str | None
    dry_run: bool = False
    limit: int | None = None


class Pruned(Value, frozen=True):
    """What a run has pruned, or would prune.

    Attributes:
        chains: how many chains have lost entries; `entries` how many in all, which were in `shipments` shipments.
        failures: how many shipments the archive did not give back as they were; nothing of them, or behind them, was pruned.
        more: there is more to prune; the run stopped at its limit.
    """

    chains: int
    shipments: int
    entries: int
    failures: int
    more: bool


class NextChains(Value, frozen=True):
    """Go on with the run."""


class ObjectStored(CallResult, frozen=True):
    """The archive took an object, or did not."""


class ObjectReadBack(CallResult, frozen=True):
    """The archive read an object back before its entries are pruned, or could not."""


class ObjectChecked(CallResult, frozen=True):
    """The archive read an object back, or could not."""
