"""What a remote may tell us by `POST /federation_api/peer_events`, kind by kind.

Lives here: the table of kinds, and what each of them does to the row. Must not live here: authentication, or the memory of what was heard
(see `notices`). A kind that concerns another actor sends that actor a message from its `apply`; adding a kind is adding an entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from actors.inventory.registry import find as find_kind
from actors.limits import NAME_CHARS_MAX
from actors.mirror.messages import Withdrawn
from actors.peer import cascade
from actors.peer.lifecycle import Inbound
from actors.peer.record import PeerRecord, UnprovenAnchor
from actors.peer.steps import Party, note, standing_alone
from actors.received_grant.messages import Announced, IssuerTold
from actors.received_grant.record import KIND as RECEIVED_GRANT
from actors.received_grant.record import GrantFacts, held_key, of_peer, row_id
from actors.received_grant.remote_answers import parse_facts
from actors.subscription.messages import Told
from runtime.actor import Ref
from runtime.clock import iso, iso_or_none, parse_iso
from runtime.context import Context
from runtime.ids import is_uuid
from runtime.store.port import Condition, Query
from runtime.values import Value, evolve

PEER_REVOKED: Final = "platform.peer.revoked"
PEER_EMANCIPATED: Final = "platform.peer.emancipated"
COMPROMISE_DISCLOSED: Final = "peer.compromise_disclosed"
HANDSHAKE_ABANDONED: Final = "handshake_abandoned"
GRANT_REVOKED: Final = "service.grant_revoked"
GRANT_CHANGED: Final = "grant.changed"
GRANT_ENDS: Final = frozenset({"revoked", "expired"})
"""Words of `grant.changed` after which its holder has nothing left."""
CATALOGUE_CHANGED: Final = "catalogue.changed"
OFFERING_RETIRING: Final = "service.offering_retiring"
DISCLOSED: Final = "compromise_disclosed"
"""Why a CA is not proven that a remote names after a compromise: whoever has the former key could name any."""
SYNC_PUSHED_ALL: Final = "sync.pushed_all"
SYNC_WITHDRAWN: Final = "sync.withdrawn"
OPERATOR_GRANT: Final = "ManagedChildOperator"
"""Kind of the grant by which a parent operates its managed child."""
SUBSCRIPTION: Final = "service_subscription"
SHELF: Final = "mirror_shelf"
_FINGERPRINT: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class PeerEvent(Value, frozen=True, kw_only=True):
    """One event as the door has read it; every field is the remote's word.

    Attributes:
        id: the remote's id of the event: the same for every try.
        effective_at: seconds since the epoch, by the remote's clock.
        payload: further fields of that kind, within the limits of free objects.
    """

    id: str
    kind: str
    reason: str | None = None
    effective_at: float | None = None
    payload: Mapping[str, Any] = msgspec.field(default_factory=dict)


class EventKind(Value, frozen=True, kw_only=True):
    """One kind of event.

    Attributes:
        apply: the row after the event, with whatever it audits, emits or sends added to the turn.
        family: which calls of the remote must be served for it to be heard.
        proves: whether hearing it counts as the verified exchange that enrols an accepted peer.
        remembered: whether a repeated one must have no effect. One that only makes us look again may be heard twice, and costs no commit.
        several: whether `more` in its payload holds payloads of further events of the kind; how many were heard is then answered.
    """

    apply: Callable[[Context, PeerRecord, PeerEvent], PeerRecord]
    family: Inbound = "heartbeat"
    proves: bool = True
    remembered: bool = True
    several: bool = False


def _revoked(ctx: Context, record: PeerRecord, event: PeerEvent) -> PeerRecord:
    return cascade.revoked(ctx, record, "remote_revoked_us", _remote(record), cascade.remote_reason(event.reason))


def _emancipated(ctx: Context, record: PeerRecord, event: PeerEvent) -> PeerRecord:
    """Our managed child stands on its own feet: what it gave us for operating it is void on its side already."""
    if record.spawn_role != "parent" or record.spawn_mode != "managed_child" or standing_alone(record):
        return record
    let_go(ctx, record)
    ctx.audit("peer.emancipated", "remote", record.remote_instance_id, federation_peer_id=record.id, reason=event.reason)
    note(ctx, record, "emancipated", "medium", reason=event.reason)
    return evolve(record, metadata={**record.metadata, "emancipated_at": iso(ctx.wall)})


def let_go(ctx: Context, record: PeerRecord) -> None:
    """Have the bearers destroyed that a child gave us for operating it."""
    for row in ctx.query(of_peer(record.id)):
        if row.record.resource_kind == OPERATOR_GRANT and (row.record.sealed_bearer is not None or row.record.refused_code is None):
            ctx.send(Ref(RECEIVED_GRANT.name, row.record.id), IssuerTold("revoked", for_good=True))


def _compromise_disclosed(ctx: Context, record: PeerRecord, event: PeerEvent) -> PeerRecord:
    """Told at once and loudly. Whether to suspend stays with our operators."""
    facts: dict[str, Any] = {"reason": event.reason, "effective_at": iso_or_none(event.effective_at)}
    named = event.payload.get("ca_fingerprint")
    unproven = record.unproven_anchor
    if isinstance(named, str) and _FINGERPRINT.fullmatch(named) and all(anchor.fingerprint != named for anchor in record.trusted_anchors):
        facts["ca_fingerprint"] = named
        unproven = UnprovenAnchor(fingerprint=named, seen_at=ctx.wall, reason=DISCLOSED)
    ctx.audit("peer.compromise_disclosed", "remote", record.remote_instance_id, federation_peer_id=record.id, **facts)
    note(ctx, record, "compromise_disclosed", "critical", remote_instance_url=record.remote_instance_url, **facts)
    return evolve(record, compromise_disclosed_at=ctx.wall, unproven_anchor=unproven)


def _handshake_abandoned(ctx: Context, record: PeerRecord, event: PeerEvent) -> PeerRecord:
    """The remote has not taken the step that we took: only a new handshake can bring this peer further."""
    if record.status != "accepted" or record.inbound_proven_at is not None:
        return record
    reason = event.reason or "no reason was given"
    ctx.audit("peer.handshake_abandoned", "remote", record.remote_instance_id, federation_peer_id=record.id, reason=reason)
    note(ctx, record, "handshake_abandoned", "medium", remote_instance_url=record.remote_instance_url, reason=reason)
    return evolve(record, metadata={**record.metadata, "handshake_abandoned": reason})


def _grant_revoked(ctx: Context, record: PeerRecord, event: PeerEvent) -> PeerRecord:
    """A seat of ours at the remote has ended: traffic to it stops."""
    _tell_subscriptions(ctx, record, event, Told(reason=event.reason or "grant_revoked", revoked=True))
    return record


def _offering_retiring(ctx: Context, record: PeerRecord, event: PeerEvent) -> PeerRecord:
    """A service of the remote that we use ends at a time that it names."""
    ends_at = event.payload.get("access_ends_at")
    parsed = parse_iso(ends_at) if isinstance(ends_at, str) else None
    if parsed is not None:
        note(ctx, record, "offering_retiring", "medium", slug=str(event.payload.get("slug"))[:64], access_ends_at=iso(parsed))
        _tell_subscriptions(ctx, record, event, Told(reason="offering_retired", revoked=False, access_ends_at=parsed))
    return record


def _pushed_all(ctx: Context, record: PeerRecord, event: PeerEvent) -> PeerRecord:
    """The remote has brought every record of a kind that there is since a start of it: mirrors of earlier starts are of nothing."""
    epoch = event.payload.get("epoch")
    if type(epoch) is int:
        _tell_shelf(ctx, record, event, epoch)
    return record


def _withdrawn(ctx: Context, record: PeerRecord, event: PeerEvent) -> PeerRecord:
    """The remote brings records of a kind no more: what it brought is kept fresh by nobody."""
    _tell_shelf(ctx, record, event, None)
    return record


def _tell_shelf(ctx: Context, record: PeerRecord, event: PeerEvent, epoch: int | None) -> None:
    kind = find_kind(str(event.payload.get("resource_kind")))
    if kind is not None:
        ctx.send(Ref(SHELF, record.id), Withdrawn(kind=kind.kind, epoch=epoch))


def _grant_changed(ctx: Context, record: PeerRecord, event: PeerEvent) -> PeerRecord:
    """A grant that the remote gave us is another now, or new. Whoever holds its bearer looks at what is left of it."""
    for payload in told_of(event):
        grant_id, change = payload.get("grant_id"), payload.get("change")
        if isinstance(grant_id, str) and is_uuid(grant_id) and isinstance(change, str):
            held = ctx.find(RECEIVED_GRANT.name, "held", held_key(record.id, grant_id))
            # Each of those that have not ended is asked about: so many questions at once are nobody's to make us ask.
            if held is not None and (payload is event.payload or change in GRANT_ENDS):
                ctx.send(Ref(RECEIVED_GRANT.name, held), IssuerTold(change))
            elif held is None and change == "issued" and payload is event.payload:
                _announced(ctx, record, grant_id, payload.get("grant"))
    return record


def told_of(event: PeerEvent) -> list[Mapping[str, Any]]:
    """The payloads in an event: its own, and those of further events of its kind that came along."""
    more = event.payload.get("more")
    return [event.payload, *(each for each in (more if isinstance(more, list) else ()) if isinstance(each, Mapping))]


def _announced(ctx: Context, record: PeerRecord, grant_id: str, told: object) -> None:
    """The remote has given us a grant whose bearer is on its way by another way."""
    facts = parse_facts(told)
    if isinstance(facts, GrantFacts) and facts.grant_id == grant_id and facts.state == "active":
        announced = Announced(account_id=record.account_id, peer_id=record.id, facts=facts)
        ctx.send(Ref(RECEIVED_GRANT.name, row_id(record.id, grant_id)), announced)


def _catalogue_changed(ctx: Context, record: PeerRecord, event: PeerEvent) -> PeerRecord:
    """A service of the remote is another now, or gone. Nothing of its catalogue is kept here; whoever looks at it looks again."""
    facts = {name: sanitized(event.payload.get(name)) for name in ("slug", "status")}
    note(ctx, record, "catalogue_changed", "low", **facts)
    return record


def sanitized(value: object) -> str | None:
    """A word of a remote as it may be shown: short and printable, or nothing."""
    return value if isinstance(value, str) and 0 < len(value) <= NAME_CHARS_MAX and value.isprintable() else None


def _tell_subscriptions(ctx: Context, record: PeerRecord, event: PeerEvent, message: Told) -> None:
    """Tell the subscription whose grant the event names, if it is one at this very peer."""
    grant_id = event.payload.get("grant_id")
    if not isinstance(grant_id, str):
        return
    named = (Condition("grant_id", "=", grant_id), Condition("federation_peer_id", "=", record.id))
    for id in ctx.query_ids(Query(SUBSCRIPTION, (named,), limit=1)):
        ctx.send(Ref(SUBSCRIPTION, id), message)


def _remote(record: PeerRecord) -> Party:
    return Party("remote", record.remote_instance_id)


EVENT_KINDS: Final[dict[str, EventKind]] = {
    PEER_REVOKED: EventKind(apply=_revoked, family="last_word", proves=False),
    PEER_EMANCIPATED: EventKind(apply=_emancipated),
    COMPROMISE_DISCLOSED: EventKind(apply=_compromise_disclosed),
    HANDSHAKE_ABANDONED: EventKind(apply=_handshake_abandoned, proves=False),
    GRANT_REVOKED: EventKind(apply=_grant_revoked),
    OFFERING_RETIRING: EventKind(apply=_offering_retiring),
    GRANT_CHANGED: EventKind(apply=_grant_changed, remembered=False, several=True),
    CATALOGUE_CHANGED: EventKind(apply=_catalogue_changed, remembered=False),
    SYNC_PUSHED_ALL: EventKind(apply=_pushed_all),
    SYNC_WITHDRAWN: EventKind(apply=_withdrawn),
}
"""Every kind that this platform understands. One that is missing here is acknowledged and ignored: a newer remote may know more kinds."""
