"""What in a record is good for a while: tokens, certificates, anchors, grants.

Lives here: one function per kind of record, from the record to its lifetimes. Must not live here: drawing, or the passing of time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

ID_CHARS: Final = 8


@attrs.frozen
class Lifetime:
    """Something that is good until a moment.

    Attributes:
        key: what tells it from others of the same record; the same in every version of the record that still holds it.
        kind: `token`, `certificate`, `anchor` or `grant`.
        label: for people.
        not_after: wall time of the host that holds it, seconds since the epoch.
        peer_id: the row that it belongs to.
    """

    key: str
    kind: str
    label: str
    not_after: float
    peer_id: str


def of_peer(record: Any) -> Iterator[Lifetime]:
    """The open token, our certificate, and the anchors of one peer."""
    digest, expires_at = record.acceptance_token_digest, record.acceptance_token_expires_at
    if digest is not None and expires_at is not None:
        yield Lifetime(f"token {digest}", "token", f"open token {digest[:ID_CHARS]}", expires_at, record.id)
    if record.outbound is not None:
        serial = record.outbound.serial
        yield Lifetime(f"outbound {serial}", "certificate", f"our certificate {serial[-ID_CHARS:]}", record.outbound.not_after, record.id)
    for anchor in record.trusted_anchors:
        name = anchor.fingerprint.partition(":")[2][:ID_CHARS]
        until = anchor.not_after if anchor.accept_until is None else min(anchor.not_after, anchor.accept_until)
        yield Lifetime(f"anchor {anchor.fingerprint}", "anchor", f"anchor {name} ({anchor.state})", until, record.id)


def of_grant(record: Any) -> Iterator[Lifetime]:
    """A grant, until it is revoked or archived."""
    if record.revoked_at is None and record.archived_at is None:
        label = f"grant {record.id[-ID_CHARS:]} on {record.resource_kind} ({', '.join(record.permission_scopes)})"
        yield Lifetime(f"grant {record.id}", "grant", label, record.expires_at, record.federation_peer_id)


LIFETIMES: Final[Mapping[str, Callable[[Any], Iterator[Lifetime]]]] = {"peer": of_peer, "grant": of_grant}
"""Kind of record to the function that reads its lifetimes."""
