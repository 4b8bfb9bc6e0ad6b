"""What may be said to the question to one peer, and to the migrations that it claims."""

from __future__ import annotations

import attrs

from actors.migration.steps import Header
from runtime.actor import CallResult


@attrs.frozen
class AskHomes:
    """Ask the peer of this id, once for each decision (`epoch`) that this platform runs on an earlier copy. No answer."""

    account_id: str
    epoch: int


@attrs.frozen
class Claimed(CallResult):
    """What the peer claims; `tag` is the claim after which it was asked."""


@attrs.frozen(kw_only=True)
class TakeClaim:
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
