"""What can go wrong with a scenario.

Lives here: the value that tells of a broken promise, and the error of a step that cannot happen.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

_PARTICULAR: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|sha256:[0-9a-f]{64}|[0-9a-f]{32,}|\d+(?:\.\d+)?(?:e[+-]\d+)?")
"""What differs between two occurrences of one failure: ids, digests, numbers."""

_PLACE: Final = re.compile(r"\A[^\n]+?\.toml:\d+: ")
"""Where in which file an expectation stands."""


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

    @property
    def sentence(self) -> str:
        """The text without the place in a file, for another file to tell."""
        return _PLACE.sub("", self.text)

    @property
    def identity(self) -> str:
        """The same for the same failure elsewhere, in a smaller scenario too: the checker, and the text without places, ids and numbers."""
        return f"{self.checker}: {_PARTICULAR.sub('#', self.sentence)}"


class StageError(Exception):
    """A step cannot happen as written."""
