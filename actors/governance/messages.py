"""What may be said to the governance actor."""

from __future__ import annotations

import attrs


@attrs.frozen
class Start:
    """Begin to scan an account's peers periodically; harmless if it runs already. Told to the actor of that id. No answer."""

    account_id: str


@attrs.frozen
class ScanTick:
    """Time for the next scan."""


@attrs.frozen
class ScanSlice:
    """Go on with the running scan."""


@attrs.frozen
class ReviewNow:
    """Review the account's grants and peers now. Answer: the result as JSON."""

    by: str | None = None


@attrs.frozen
class ReviewTick:
    """Time for the weekly review."""


@attrs.frozen
class ReviewSlice:
    """Go on with the review under way."""
