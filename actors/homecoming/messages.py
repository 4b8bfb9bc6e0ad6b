"""What may be said to the question to one peer, and to the migrations that it claims."""

from __future__ import annotations

from actors.migration.steps import Header
from runtime.actor import CallResult
from runtime.values import Value


class AskHomes(Value, frozen=True):
    """Ask the peer of this id, once for each decision (`epoch`) that this platform runs on an earlier copy. No answer."""

    account_id: str
    epoch: int


class Claimed(CallResult, frozen=True):
    """What the peer claims; `tag` is the claim after which it was asked."""


class TakeClaim(Value, frozen=True, kw_only=True):
    """To a migration of ours that this copy knows nothing of: hold the records that it is said to have moved. May come twice. No answer.

    Attributes:
        ids: those of our living records that it names.
    """

    account_id: str
    header: Header
    peer_id: str
    peering_epoch: int
    plan_digest: str
    ids: tuple[tuple[str, str], ...]
