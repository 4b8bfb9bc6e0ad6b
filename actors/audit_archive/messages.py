"""What may be said to the archivist of an account."""

from __future__ import annotations

from runtime.actor import CallResult
from runtime.values import Value


class Begin(Value, frozen=True):
    """Ship daily from now on; harmless if that is so already. Told to the actor of the account's id. No answer."""

    account_id: str


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


class NextChains(Value, frozen=True):
    """Go on with the run."""


class ObjectStored(CallResult, frozen=True):
    """The archive took an object, or did not."""


class ObjectChecked(CallResult, frozen=True):
    """The archive read an object back, or could not."""
