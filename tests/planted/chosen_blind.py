"""Faults chosen from the protocol and the production code alone, before any checker was read.

Lives here: one function per fault, as in `faults`. What makes them worth a file of their own is how they were chosen: they measure what
the checkers find that nobody wrote them for. A fault may be added here only by somebody who has not read the checkers.
The scenarios beside a fault were named, and some of them written, once it had been looked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import actors.door.admission
import actors.door.callers
import actors.grant.chain
import actors.peer.calling
import actors.peer.ending
import actors.peer.heartbeats
import actors.peer.minting
from actors.grant.chain import Ask
from actors.peer.messages import AnswerSealed, Redeem, ResumePeering
from actors.ports import Open
from runtime.engine import Engine
from runtime.values import evolve
from tests.planted.registry import Patch, handler, plant

# --- authentication -------------------------------------------------------------------------------------------------


@plant("certificate-outlives-tombstone")
def superseded_certificate_admitted(patch: Patch) -> None:
    """A certificate that a new handshake has replaced, or that was revoked, still opens the door."""
    patch.setattr(actors.door.admission, "check_serial", lambda directory, source, leaf: None)


@plant("paused-before-the-proof")
def resume_enrols_unproven(patch: Patch) -> None:
    """A resume takes trust for established although the remote never proved that it holds its key."""
    patch.setattr(actors.peer.ending, "trust_status_at", lambda record, wall: "established")


# --- acceptance -----------------------------------------------------------------------------------------------------


@plant("spent-token-again", "token-used-twice")
def receipt_for_anyone(patch: Patch) -> None:
    """Whoever comes with a spent token is handed the receipt, whatever its handshake and key material."""
    former = actors.peer.minting.MintingSide._replay

    def replay(actor: Any, message: Redeem, address: Any, ctx: Any) -> bool:
        receipt = actor.record.receipt
        if receipt is None or receipt.token_digest != message.token_digest or actor.record.status == "revoked":
            return former(actor, message, address, ctx)
        opened = Open(receipt.sealed_answer, actors.peer.minting.RECEIPT_PURPOSE)
        ctx.call(opened, then=actors.peer.minting.ReceiptOpened, tag=address)
        return True

    patch.setattr(actors.peer.minting.MintingSide, "_replay", replay)


@plant("revoke-while-sealing")
def guard_not_asked_again(patch: Patch) -> None:
    """The chain does not look again, before it saves, whether the token still opens the row."""

    def sealed(actor: Any, message: AnswerSealed, ctx: Any) -> None:
        guard = actors.peer.minting.redeem_fault
        actors.peer.minting.redeem_fault = lambda record, redeem, ctx: None
        try:
            former(actor, message, ctx)
        finally:
            actors.peer.minting.redeem_fault = guard

    former = handler(patch, AnswerSealed, sealed)


@plant("lost-accept-answer")
def another_handshake_each_time(patch: Patch) -> None:
    """Every attempt of our accept call names a new handshake, so that a lost answer can never be fetched again."""
    former: Callable[..., dict[str, Any]] = actors.peer.calling.accept_body
    patch.setattr(
        actors.peer.calling, "accept_body", lambda record, handshake, ctx: former(record, handshake, ctx) | {"handshake_id": ctx.new_id()}
    )


# --- durability -----------------------------------------------------------------------------------------------------


@plant("revoker-crashes", "deadline-outlives-restart")
def deadlines_lost_in_restart(patch: Patch) -> None:
    """A started engine knows no deadline of the rows that it finds."""
    former = Engine.start

    def start(engine: Engine) -> None:
        former(engine)
        engine._due.forget()

    patch.setattr(Engine, "start", start)


@plant("former-bearer")
def owned_rows_unseen(patch: Patch) -> None:
    """A row that its owner writes beside its own reaches the disk, but neither the directory nor the actor that stands for it."""
    patch.setattr(Engine, "_rewritten", lambda engine, ref, record: None)


# --- liveness -------------------------------------------------------------------------------------------------------


@plant("silence-after-a-resume")
def blind_after_resume(patch: Patch) -> None:
    """After a resume nobody looks at the age of the evidence any more, and the next heartbeat believes that somebody does."""

    def resume(actor: Any, message: ResumePeering, ctx: Any) -> None:
        actor.schedule_liveness = lambda ctx: None
        try:
            former(actor, message, ctx)
        finally:
            del actor.schedule_liveness
            actor.watching = True

    former = handler(patch, ResumePeering, resume)


# --- pause and end --------------------------------------------------------------------------------------------------


@plant("heartbeat-into-the-commit-of-an-end")
def beat_served_after_the_end(patch: Patch) -> None:
    """A heartbeat that the door let in is acknowledged although the peer was paused or ended meanwhile."""
    patch.setattr(actors.peer.heartbeats, "inbound_refusal", lambda status, family: None)


# --- grants ---------------------------------------------------------------------------------------------------------


@plant("lent-before-the-proof")
def exchange_before_proof(patch: Patch) -> None:
    """Calls that need a grant are served for a peer that is only accepted, before it has proven its key."""
    former = actors.door.callers.admit

    def admit(directory: Any, source: Any, family: Any, wall: float) -> Any:
        return former(directory, source, "heartbeat" if family == "exchange" else family, wall)

    patch.setattr(actors.door.callers, "admit", admit)


def _held_as(patch: Patch, believed: Callable[[Ask], Ask]) -> None:
    former = actors.grant.chain.holds
    patch.setattr(actors.grant.chain, "holds", lambda ask: former(believed(ask) if ask.grant is not None and ask.peer is not None else ask))


@plant("former-bearer")
def former_bearer_forever(patch: Patch) -> None:
    """The bearer that a rotation replaced stays good after its overlap."""
    _held_as(patch, lambda ask: evolve(ask, grant=evolve(ask.grant, previous_token_until=float("inf"))))


@plant("bearer-of-another-peer")
def bearer_of_another_peer(patch: Patch) -> None:
    """Any peer that has got hold of a bearer may use it."""
    _held_as(patch, lambda ask: evolve(ask, grant=evolve(ask.grant, federation_peer_id=ask.peer.id if ask.peer else None)))
