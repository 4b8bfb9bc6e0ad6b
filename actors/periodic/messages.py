"""What may be said to the actor that keeps count of runs, and to those that run daily."""

from __future__ import annotations

from runtime.values import Value


class NoteRun(Value, frozen=True):
    """A run of `work` was made at `at` (seconds since the epoch); `error` is the code of what it met. No answer."""

    work: str
    at: float
    error: str | None


class Begin(Value, frozen=True):
    """Run daily from now on; harmless if that is so already. Told to the actor of the account's id. No answer."""

    account_id: str
