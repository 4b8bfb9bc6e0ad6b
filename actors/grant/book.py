"""The book of a peer's grants: what the one writer of them keeps beside the rows.

Lives here: the record. Must not live here: the rows of grants, which the book's actor writes but which are found by themselves, so that a
change costs the same however many there are.
"""

from __future__ import annotations

from runtime.store.port import Kind
from runtime.values import Value


class Expectation(Value, frozen=True, kw_only=True):
    """A grant test: what must stay allowed, or refused, whatever is written.

    Attributes:
        allowed: what the chain must say of the call.
        kind, resource_id, scope: what is asked for; no resource id asks for the list.
        subject, instance_id, network_id, source_address: where the call comes from; None for a call that does not say.
    """

    name: str
    allowed: bool
    kind: str
    resource_id: str | None = None
    scope: str = "read"
    subject: str | None = None
    instance_id: str | None = None
    network_id: str | None = None
    source_address: str | None = None


class GrantBook(Value, frozen=True, kw_only=True):
    """One book; `id` is the peer's."""

    id: str
    version: int = 0
    account_id: str
    tests: tuple[Expectation, ...] = ()


KIND = Kind(name="grant_book", record=GrantBook)
