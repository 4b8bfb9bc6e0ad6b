"""Which kinds of resources are not exchanged with a peer, because the two platform versions do not fit for them.

Lives here: the question, over the committed decisions of an account. Must not live here: how versions are judged (`schema_versions`), or
what follows from the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.peer.record import PeerRecord
from actors.schema_rule.record import KIND, to_matrix_row
from actors.schema_versions import negotiate
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Condition, Query, Row


def withheld(select: Callable[[Query], list[Row]], local_version: str, peer: PeerRecord, kinds: Iterable[str]) -> Fault | None:
    """The refusal to exchange records of these kinds with the peer, or None; `select` reads the store."""
    rules = select(Query(KIND.name, ((Condition("account_id", "=", peer.account_id),),)))
    found = negotiate(local_version, peer.platform_version, tuple(to_matrix_row(rule.record) for rule in rules))
    blocked = sorted({kind for kind in kinds if found.blocks_kind(kind)})
    if not blocked:
        return None
    details = {"local_version": found.local_version, "remote_version": found.remote_version, "status": found.status, "kinds": blocked}
    return OperatorFault("schema_incompatible", f"the platform versions do not fit for {', '.join(blocked)}", 409, details)
