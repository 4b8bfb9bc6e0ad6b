"""What can go wrong with a scenario.

Lives here: the value that tells of a broken promise, and the error of a step that cannot happen.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Failure:
    """A promise that did not hold.

    Attributes:
        checker: the safety checker or the expectation that noticed.
        at: when, seconds since the start of the world.
        text: one sentence.
    """

    checker: str
    at: float
    text: str


class StageError(Exception):
    """A step cannot happen as written."""
