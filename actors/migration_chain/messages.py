"""What may be said to a chain, and between it and the hops at their holders.

Lives here: frozen messages. Must not live here: behaviour.
"""

from __future__ import annotations

from actors.idempotency.record import Mark
from actors.migration.steps import Header
from actors.migration_chain.word import HopWord
from runtime.actor import CallResult
from runtime.errors import Fault
from runtime.values import Value

# --- from operators ---------------------------------------------------------------------------------------------------


class MakeChain(Value, frozen=True, kw_only=True):
    """Plan a chain. Nothing is asked of anybody. Answer: the record, or a fault with every problem of its hops."""

    account_id: str
    by: str | None
    header: Header
    hop_peer_ids: tuple[str, ...]
    acknowledge_residency: bool
    mark: Mark | None = None


class ActOnChain(Value, frozen=True, kw_only=True):
    """Run, advance, cancel or try again. Answer: the record, or a fault."""

    by: str | None
    act: str
    expected_version: int | None = None
    mark: Mark | None = None


# --- to the holder of the resource ------------------------------------------------------------------------------------


class StartHop(Value, frozen=True, kw_only=True):
    """Carry out a hop. May come as often as anybody likes. Answer: `HopWord`, or a fault; a chain of our own is told `HopTold`.

    Attributes:
        asker_peer_id: the peer that drives the chain; None for this platform.
        grant_id: under which the peer asks.
        attempt: a higher one than before asks again for what had ended without having moved.
    """

    account_id: str
    chain_id: str
    number: int
    attempt: int
    asker_peer_id: str | None
    grant_id: str | None
    header: Header
    destination_peer_id: str
    acknowledge_residency: bool
    by: str | None = None


class WithdrawHop(Value, frozen=True, kw_only=True):
    """The hop is not wanted any more. Answer: `HopWord`; it says `withdrawn` once nothing will move.

    Attributes:
        tell: the chain of our own that asks, and its attempt: it is told `HopTold`.
    """

    tell: tuple[str, int] | None = None


class HopTold(Value, frozen=True, kw_only=True):
    """To a chain of our own: how its hop stands, or why it cannot be carried out."""

    number: int
    attempt: int
    outcome: HopWord | Fault


class HopAnswered(CallResult, frozen=True):
    """The answer of the holder; `tag` is (number, attempt)."""
