"""Faults in the rotation of roots: in what is believed, in what an approval means, and in what ends when.

Lives here: one function per fault. Each patches one production function and nothing else.
"""

from __future__ import annotations

from typing import Any

import actors.door.admission
import actors.peer.anchors
import actors.peer.certifying
import actors.peer.ending
import actors.peer.moving
from actors import cross_signature
from actors.peer.actor import PeerActor
from actors.peer.messages import ApproveAnchor
from runtime.values import evolve
from tests.planted.registry import Patch, handler, plant


@plant("rotation-forged")
def cross_signature_unchecked(patch: Patch) -> None:
    """A next root is taken with whatever signature it comes."""
    patch.setattr(cross_signature, "flaw", lambda *given, **more: None)


@plant("rotation-partition-beyond-overlap")
def approved_without_comparing(patch: Patch) -> None:
    """An approval takes whatever the peer shows, not what the operator named."""

    def approve(actor: Any, message: Any, ctx: Any) -> None:
        seen = actor.record.unproven_anchor if actor.record is not None else None
        former(actor, message if seen is None else evolve(message, fingerprint=seen.fingerprint), ctx)

    former = handler(patch, ApproveAnchor, approve)


@plant("rotation-forged")
def claim_taken_for_proof(patch: Patch) -> None:
    """What a bundle offers without proof is taken when the remote claims it often enough."""
    refuse = PeerActor._refuse

    def credulous(actor: Any, ctx: Any, record: Any, fingerprint: str, reason: str) -> None:
        if record.unproven_anchor is not None:
            anchor = evolve(record.trusted_anchors[0], fingerprint=fingerprint)
            ctx.audit("peer.anchor_announced", "remote", record.remote_instance_id, federation_peer_id=record.id)
            ctx.save(evolve(record, trusted_anchors=(*record.trusted_anchors, anchor)))
        else:
            refuse(actor, ctx, record, fingerprint, reason)

    patch.setattr(PeerActor, "_refuse", credulous)


@plant("rotation")
def window_never_ends(patch: Patch) -> None:
    """The former root of a peer counts after the end of its window."""
    patch.setattr(actors.door.admission, "anchors_in_force", lambda trusted, wall: trusted)
    patch.setattr(actors.peer.ending, "without_ended_anchors", lambda record, wall: record)


@plant("rotation-after-rotation")
def window_of_the_next_rotation(patch: Patch) -> None:
    """A root that retires already gets the end of the next rotation's window."""
    following = actors.peer.anchors.with_next

    def longer(record: Any, anchor: Any, ends: float) -> Any:
        after = following(record, anchor, ends)
        held = tuple(evolve(each, accept_until=ends) if each.accept_until is not None else each for each in after.trusted_anchors)
        return evolve(after, trusted_anchors=held)

    patch.setattr(actors.peer.anchors, "with_next", longer)


@plant("rotation-cuts-off-a-child")
def stolen_root_lingers(patch: Patch) -> None:
    """After a compromise what the former root has signed for children goes on to count."""
    patch.setattr(actors.peer.moving, "with_own_roots", lambda record, *given: record)
    patch.setattr(actors.peer.certifying, "with_own_roots", lambda record, *given: record)
