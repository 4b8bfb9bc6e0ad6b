"""Faults: refusals and failures as values, each saying whose fault it is.

Lives here: the three kinds of fault and the one exception that carries a fault through parsing code.
Must not live here: the catalogue of domain codes (each domain folder has its own).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Fault:
    """A refusal or failure that travels as a value.

    Attributes:
        code: stable snake_case word that programs match on.
        message: one sentence for a person, saying what to do next where possible; never holds a secret.
        status: HTTP status that a face should answer with.
        details: JSON-ready facts for a program; never holds a secret.
        retry_after_s: seconds after which a retry makes sense, or None.
    """

    code: str
    message: str
    status: int
    details: Mapping[str, Any] = attrs.field(factory=dict)
    retry_after_s: float | None = None


@attrs.frozen
class OperatorFault(Fault):
    """The local caller asked for something that cannot be done as asked."""


@attrs.frozen
class RemoteFault(Fault):
    """Another platform, or the way to it, failed or refused."""


@attrs.frozen
class InternalFault(Fault):
    """This platform failed: a bug, or a dependency that is down. Nothing was committed."""


class FaultError(Exception):
    """Carries a `Fault` out of nested parsing or validation code; caught at the door, never by actors' callers."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.code}: {fault.message}")
        self.fault = fault


def unavailable(what: str, **details: Any) -> InternalFault:
    """The uniform answer when a dependency is down: 503, nothing committed, a retry is safe."""
    return InternalFault("unavailable", f"{what} is unavailable; nothing was changed, try again", 503, details, retry_after_s=1.0)
