"""Problems found in one piece of input, collected so that a caller hears all of them at once.

Lives here: the problem value and its turn into one refusal. Must not live here: the checks themselves.

Parsers of whole bodies take a list of problems and append to it; parsers of one value raise `ValueError` with a sentence
that a person can act on and that never repeats a secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from runtime.errors import OperatorFault
from runtime.values import Value

PROBLEMS_REPORTED_MAX: Final = 20


class Problem(Value, frozen=True):
    """One thing that is wrong with an input.

    Attributes:
        field: where it is, as a path such as `endpoints[2].url`.
        code: stable snake_case word.
        message: what is wrong and what would be right; holds no secret.
        status: HTTP status that fits this problem alone.
        facts: what a program needs to go on, JSON-ready; it stands in `details` when the refusal is this problem's.
    """

    field: str
    code: str
    message: str
    status: int = 422
    facts: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The form that stands in `details.problems[]`."""
        return {"field": self.field, "code": self.code, "message": self.message}


def refusal(problems: Sequence[Problem]) -> OperatorFault:
    """One refusal that names every problem; code, status and sentence are those of the first.

    A hostile body can be wrong in thousands of places: after `PROBLEMS_REPORTED_MAX` only the count is reported.

    Raises:
        ValueError: there is no problem to report.
    """
    if not problems:
        raise ValueError("a refusal needs at least one problem")
    first = problems[0]
    reported = [problem.to_json() for problem in problems[:PROBLEMS_REPORTED_MAX]]
    details = {**first.facts, "field": first.field, "problems": reported, "problem_count": len(problems)}
    return OperatorFault(first.code, f"{first.field}: {first.message}", first.status, details)
