"""What a call to another platform can end with instead of an answer: the faults of the `Remote` port, worded once for every side of it.

Lives here: pure functions from what happened to a fault. Must not live here: finding out what happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.errors import Fault, InternalFault, RemoteFault


def no_identity(reason: str) -> Fault:
    """Our own certificate for the peer cannot be used; nothing was sent."""
    return InternalFault("no_outbound_identity", f"Our identity for this peer cannot be used: {reason}.", 503, {"reason": reason})


def seal_broken(field: str) -> Fault:
    """A sealed field of the request does not open; nothing was sent."""
    return InternalFault("seal_broken", "A sealed value of the request cannot be opened.", 503, {"field": field})


def timed_out(timeout_s: float, probed: Sequence[dict[str, Any]]) -> Fault:
    """There was no answer in time. `probed` tells per URL what was tried; an entry without an error was under way."""
    for entry in probed:
        entry.setdefault("error", "timeout")
    return RemoteFault("remote_timeout", f"The remote did not answer within {timeout_s:g} seconds.", 504, {"probed": probed})


def connection_lost(probed: Sequence[Mapping[str, Any]], reason: str) -> Fault:
    """The request was sent and its connection ended before the answer: whether it had an effect is unknown, and no other URL is tried."""
    details = {"probed": probed, "request_sent": True, "reason": reason}
    return RemoteFault("remote_unreachable", "The connection was lost before the remote had answered.", 502, details)


def unusable_answer(probed: Sequence[Mapping[str, Any]], reason: str, status: int | None) -> Fault:
    """Something was answered that is no answer of a platform."""
    details: dict[str, Any] = {"probed": probed, "request_sent": True, "reason": reason}
    if status is not None:
        details["status"] = status
    return RemoteFault("remote_error", "The remote's answer cannot be used.", 502, details)


def unreachable(probed: Sequence[Mapping[str, Any]]) -> Fault:
    """Nothing was sent anywhere. An identity that could not be proven outweighs silence, since silence may pass by itself.

    `tls_failed` is a server that broke TLS while it should have proven itself, or speaks none. One that refused before that
    (`tls_refused`, `not_relayed`) has only not been reached.
    """
    errors = {entry.get("error") for entry in probed}
    details: Mapping[str, Any] = {"probed": probed, "request_sent": False}
    if errors & {"server_identity_unverified", "tls_failed"}:
        return RemoteFault("server_identity_unverified", "No server proved to be the expected platform; nothing was sent.", 502, details)
    if errors and errors <= {"address_not_allowed", "invalid_url"}:
        return RemoteFault("address_not_allowed", "Every address of the remote is refused by the address policy.", 422, details)
    return RemoteFault("remote_unreachable", "No URL of the remote could be reached; nothing was sent.", 502, details)
