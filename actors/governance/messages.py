"""What may be said to the governance actor."""

from __future__ import annotations

from runtime.values import Value


class Start(Value, frozen=True):
    """Begin to scan an account's peers periodically; harmless if it runs already. Told to the actor of that id. No answer."""

    account_id: str


class ScanTick(Value, frozen=True):
    """Time for the next scan."""


class ScanSlice(Value, frozen=True):
    """Go on with the running scan."""


class ReviewNow(Value, frozen=True):
    """Review the account's grants and peers now. Answer: the result as JSON."""

    by: str | None = None


class ReviewTick(Value, frozen=True):
    """Time for the weekly review."""


class ReviewSlice(Value, frozen=True):
    """Go on with the review under way."""
