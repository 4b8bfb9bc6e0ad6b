"""What may be said to the archivist of an account."""

from __future__ import annotations

import attrs

from runtime.actor import CallResult


@attrs.frozen
class Begin:
    """Ship daily from now on; harmless if that is so already. Told to the actor of the account's id. No answer."""

    account_id: str


@attrs.frozen
class ShipNow:
    """Run at once, as the daily run would. Answers `Shipped`, or a fault if a run is under way."""

    by: str | None


@attrs.frozen
class Shipped:
    """What a run did.

    Attributes:
        swept_peers: how many peers were looked at.
        shipped: how many shipments are verified; `entries` how many entries they hold.
        failures: how many are not.
    """

    swept_peers: int
    shipped: int
    entries: int
    failures: int


@attrs.frozen
class NextPeers:
    """Go on with the run."""


@attrs.frozen
class ObjectStored(CallResult):
    """The archive took an object, or did not."""


@attrs.frozen
class ObjectChecked(CallResult):
    """The archive read an object back, or could not."""
