"""What the end of a peering does to its row: pure steps from one record to the next.

Lives here: the transaction of the revocation, its phases and what each of them leaves behind. Must not live here: sending anything, or
telling anybody (see `ending`).
"""

from __future__ import annotations

from collections.abc import Iterable

from actors.limits import DEPENDANTS_LOOK_MAX_S, DEPENDANTS_LOOK_S, SKEW_MAX_S, TOMBSTONE_S
from actors.peer.dependants import kinds_of
from actors.peer.lifecycle import Trigger
from actors.peer.record import IssuedCertificate, LastWord, PeerRecord, Revocation
from actors.peer.steps import Party, can_be_told, step
from actors.revoked_certificate.record import KIND as REVOKED_CERTIFICATE
from actors.revoked_certificate.record import Reason, RevokedCertificate
from actors.wall_clock.standing import certain_wall
from runtime.context import Context
from runtime.values import evolve

OPERATOR_INITIATED = "operator-initiated"
REMOTE_REVOKED = "remote_revoked"


def remote_reason(told: str | None) -> str:
    """The reason of an end that is the remote's, with what it said of it."""
    return f"{REMOTE_REVOKED}: {told}" if told else REMOTE_REVOKED


def revoked(ctx: Context, record: PeerRecord, trigger: Trigger, by: Party, reason: str, *, immediate: bool = False) -> PeerRecord:
    """The record after its peering has ended: no call of the remote is served from the commit on, and nothing given under it has effect.

    The caller saves it. The remote is owed a last word if the end is ours, it was ever reached and `immediate` is not asked for.
    """
    disclosed = trigger == "operator_revoked" and not immediate
    told = disclosed and record.status != "proposed" and can_be_told(record, ctx.wall)
    untold = kinds_of("draining")
    drains = record.status != "proposed" and record.peer_kind == "platform" and not immediate
    ended = step(ctx, record, trigger, by, reason)
    # The next attempt to dial may be minutes away, whoever ended the peering meanwhile.
    ctx.cancel("channel")
    revoke_serials(ctx, record.id, issued_serials(record), "peer_revoked")
    grace_s = ctx.settings.federation.revocation_grace_s if drains else 0.0
    ended = evolve(
        ended,
        peering_epoch=record.peering_epoch + 1,
        acceptance_token_digest=None,
        acceptance_token_expires_at=None,
        token_expired_at=None,
        handshake=None,
        receipt=None,
        status_before_suspend=None,
        suspended_at=None,
        revoked_at=ctx.wall,
        remote_state="revoked_us" if trigger == "remote_revoked_us" else record.remote_state,
        metadata=_without(record, "degraded_reason", "suspension_reason", "suspended_by_user_id")
        | {"revocation_reason": reason}
        | ({"revoked_by_user_id": by.id} if by.kind == "user" else {}),
        revocation=Revocation(
            phase="draining",
            drain_until=ctx.wall + grace_s,
            tombstone_until=ctx.wall + TOMBSTONE_S if record.inbound_subject is not None else None,
            last_word=LastWord(event_id=ctx.new_id(), reason=reason, effective_at=ctx.wall, tries=0, next_at=ctx.wall) if told else None,
            told_reason=reason if disclosed else None,
            untold=untold,
            look_at=ctx.wall if untold else None,
        ),
    )
    return ended if drains else completed(ctx, ended)


def revoke_serials(ctx: Context, peer_id: str, issued: Iterable[IssuedCertificate], reason: Reason) -> None:
    """Make certificates that our CA issued to this peer invalid before their time."""
    certain = certain_wall(ctx)
    for certificate in issued:
        if certificate.not_after + SKEW_MAX_S <= certain:
            continue
        revoked_certificate = RevokedCertificate(
            id=certificate.serial,
            version=1,
            federation_peer_id=peer_id,
            reason=reason,
            revoked_at=ctx.wall,
            not_after=certificate.not_after,
        )
        ctx.put_row(REVOKED_CERTIFICATE.name, revoked_certificate)


def issued_serials(record: PeerRecord) -> tuple[IssuedCertificate, ...]:
    """Every certificate of ours that the peer may present, the newest first."""
    if record.issued_serial is None or record.issued_not_after is None:
        return ()
    return (IssuedCertificate(record.issued_serial, record.issued_not_after), *record.issued_before)


def superseded(ctx: Context, record: PeerRecord) -> None:
    """A new handshake replaces what the peer held: its former certificates of our CA are invalid from the commit on."""
    revoke_serials(ctx, record.id, issued_serials(record), "superseded")


def completed(ctx: Context, record: PeerRecord) -> PeerRecord:
    """The record after the grace: our key for this peer is destroyed. What the tombstone needs stays."""
    assert record.revocation is not None
    ctx.audit("peer.revocation_complete", "system", None, federation_peer_id=record.id)
    untold = tuple(dict.fromkeys((*record.revocation.untold, *kinds_of("complete"))))
    return evolve(
        record,
        outbound=None,
        updated_at=ctx.wall,
        revocation=evolve(
            record.revocation, phase="complete", last_word=None, untold=untold, looked=0, look_at=ctx.wall if untold else None
        ),
    )


def buried(record: PeerRecord) -> PeerRecord:
    """The record after its tombstone: the remote is nobody known any more, and nothing is left that could recognise it."""
    assert record.revocation is not None
    return evolve(
        record,
        inbound_subject=None,
        trusted_anchors=(),
        server_anchor_pem=None,
        server_anchor_next=None,
        server_anchor_until=None,
        revocation=evolve(record.revocation, tombstone_until=None),
    )


def looked_again(record: PeerRecord, untold: tuple[str, ...], wall: float) -> PeerRecord:
    """The record after a look for dependent rows; the next one comes later each time, should an owner never mark its row."""
    assert record.revocation is not None
    looked = record.revocation.looked + 1
    wait_s = min(DEPENDANTS_LOOK_S * 2.0 ** min(looked - 1, 16), DEPENDANTS_LOOK_MAX_S)
    return evolve(record, revocation=evolve(record.revocation, untold=untold, looked=looked, look_at=wall + wait_s if untold else None))


def suspended(ctx: Context, record: PeerRecord, by: Party, reason: str | None) -> PeerRecord:
    """The record of a paused peer. Nothing is lost: what was given stays given, without effect."""
    paused = step(ctx, record, "operator_suspended", by, reason)
    told = {"suspension_reason": reason} if reason else {}
    return evolve(
        paused,
        status_before_suspend=record.status,
        suspended_at=ctx.wall,
        metadata=_without(record, "degraded_reason") | told | ({"suspended_by_user_id": by.id} if by.id else {}),
    )


def resumed(ctx: Context, record: PeerRecord, by: Party, reason: str | None) -> PeerRecord:
    """The record of a peer whose pause is over: accepted again, and no further by itself."""
    return evolve(
        step(ctx, record, "operator_resumed", by, reason),
        status_before_suspend=None,
        suspended_at=None,
        compromise_disclosed_at=None,
        metadata=_without(record, "suspension_reason", "suspended_by_user_id"),
    )


def _without(record: PeerRecord, *names: str) -> dict[str, object]:
    return {key: value for key, value in record.metadata.items() if key not in names}
