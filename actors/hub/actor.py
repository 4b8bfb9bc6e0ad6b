"""The actor of the consents about relaying with one peer: operators' steps, connections that a hub has for us, and accounting.

Lives here: one handler per message. Must not live here: a connection (`net.relay`), or the choice of a peer by server name (`routing`).
"""

from __future__ import annotations

from typing import Any

import attrs

from actors.hub import lifecycle
from actors.hub.lifecycle import SIDES, Side
from actors.hub.messages import Consent, Counted, Fetched, HandOver
from actors.hub.record import KIND, HubRecord, Relayed, Terms, never, to_json
from actors.hub.routing import server_name_of
from actors.idempotency.record import remember
from actors.peer import endpoints, standing
from actors.peer.dependants import DEPENDANTS, Dependant
from actors.peer.messages import PeeringEnded
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.peer.steps import callable_identity
from actors.ports import FetchRelayed
from actors.settings import Settings
from actors.urls import host_of
from runtime.actor import Actor, handles
from runtime.context import Context
from runtime.errors import Fault, OperatorFault, RemoteFault
from runtime.values import evolve

NOT_FOUND = OperatorFault("not_found", "there is no such peer", 404)
NOT_PERMITTED = RemoteFault("relay_not_permitted", "this platform takes no connections from this hub", 403)
DEPENDANTS.append(Dependant(kind=KIND.name, phase="draining", open=(), peer_column="open_peer_id"))


class HubActor(Actor):
    """The consents with one peer."""

    kind = KIND

    @handles(Consent)
    def on_consent(self, message: Consent, ctx: Context) -> None:
        peer = _peer(ctx, ctx.ref.id)
        if peer is None or peer.account_id != message.account_id:
            ctx.reply(NOT_FOUND)
            return
        former: HubRecord = self.record or never(peer.id, peer.account_id, peer.peering_epoch, ctx.wall)
        fault = step_fault(former, message, peer, ctx.settings, ctx.wall)
        if fault is not None:
            ctx.reply(fault)
            return
        record = after(former, message, peer, ctx.wall)
        _tell(ctx, record, message.side, getattr(former, message.side), message.by, message.reason)
        ctx.save(record)
        remember(ctx, message.mark, 200, {"hub": to_json(ctx.record, self.evidence, ctx.settings.identity.boot_epoch)})
        ctx.reply(ctx.record)

    @handles(PeeringEnded)
    def on_peering_ended(self, message: PeeringEnded, ctx: Context) -> None:
        """Show on the row what the end of the peering has made true already."""
        record: HubRecord | None = self.record
        if record is None or record.peering_epoch != message.peering_epoch:
            return
        reason = f"peer_revoked: {message.reason}"
        ended = record
        for side in SIDES:
            if getattr(record, side) == "permitted":
                changes: dict[str, Any] = {side: "withdrawn", f"{side}_since": message.ended_at}
                ended = evolve(ended, **changes, reason=reason, updated_at=ctx.wall)
                _tell(ctx, ended, side, "permitted", None, reason)
        if ended != record:
            ctx.save(ended)

    # --- behind a hub --------------------------------------------------------------------------------------------

    @handles(HandOver)
    def on_hand_over(self, message: HandOver, ctx: Context) -> None:
        record: HubRecord | None = self.record
        peer = _peer(ctx, ctx.ref.id)
        if record is None or peer is None or record.relayed != "permitted":
            ctx.reply(NOT_PERMITTED)
            return
        known = callable_identity(peer, ctx.wall)
        if not standing.in_force(peer, record.peering_epoch, ctx.wall) or isinstance(known, Fault):
            ctx.reply(known if isinstance(known, Fault) else NOT_PERMITTED)
            return
        listed = endpoints.candidates(peer.endpoints, peer.remote_instance_url)
        request = FetchRelayed(
            peer_id=peer.id,
            urls=tuple(target.url for target in listed if target.cidr_hint is None),
            identity=known[0],
            expectation=known[1],
            token=message.token,
            client_address=message.client_address,
            timeout_s=ctx.settings.federation.hub_open_s,
        )
        ctx.call(request, then=Fetched)
        ctx.reply(True)

    @handles(Fetched)
    def on_fetched(self, message: Fetched, ctx: Context) -> None:
        if self.record is None:
            return
        counted: Relayed = self.evidence or Relayed()
        failed = message.fault is not None
        ctx.set_evidence(
            evolve(
                counted,
                handed_over=counted.handed_over + (not failed),
                handed_over_failed=counted.handed_over_failed + failed,
                last_at=ctx.wall,
            )
        )

    # --- as a hub ------------------------------------------------------------------------------------------------

    @handles(Counted)
    def on_counted(self, message: Counted, ctx: Context) -> None:
        if self.record is not None:
            ctx.set_evidence(counted_in(self.evidence or Relayed(), message, ctx.settings.identity.boot_epoch, ctx.wall))


def counted_in(relayed: Relayed, message: Counted, boot_epoch: int, wall: float) -> Relayed:
    """What has been relayed in all, with a report added."""
    refused = {**relayed.refused}
    for reason, count in message.refused.items():
        refused[reason] = refused.get(reason, 0) + count
    moved = message.connections or message.bytes_to or message.bytes_from
    return evolve(
        relayed,
        connections=relayed.connections + message.connections,
        refused=refused,
        bytes_to=relayed.bytes_to + message.bytes_to,
        bytes_from=relayed.bytes_from + message.bytes_from,
        open_now=message.open_now,
        boot_epoch=boot_epoch,
        last_at=wall if moved else relayed.last_at,
        last_refused=max(message.refused, key=lambda reason: message.refused[reason]) if message.refused else relayed.last_refused,
        last_refused_at=wall if message.refused else relayed.last_refused_at,
    )


def after(former: HubRecord, message: Consent, peer: PeerRecord, wall: float) -> HubRecord:
    """The record after an allowed step. A permission under another peering than the former one takes nothing of that over."""
    target = lifecycle.transition(getattr(former, message.side), message.trigger)
    assert target is not None
    if former.peering_epoch != peer.peering_epoch:
        former = evolve(never(peer.id, peer.account_id, peer.peering_epoch, wall), version=former.version)
    changes: dict[str, Any] = {message.side: target, "reason": message.reason, "updated_at": wall}
    if getattr(former, message.side) != target:
        changes[f"{message.side}_since"] = wall
    if message.side == "relaying" and target == "permitted":
        changes |= {"server_name": server_name_of(peer) or "", "terms": message.terms}
    if message.side == "relayed" and target == "permitted":
        changes["announced"] = message.announced
    return evolve(former, **changes)


def step_fault(record: HubRecord, message: Consent, peer: PeerRecord, settings: Settings, wall: float) -> Fault | None:
    """Why the step cannot be taken now, or None."""
    if message.expected_version is not None and message.expected_version != record.version:
        return OperatorFault("version_conflict", "the consents have changed since; read them again", 409, {"version": record.version})
    state = getattr(record, message.side)
    if lifecycle.transition(state, message.trigger) is None:
        text = "nothing is permitted that could be withdrawn"
        return OperatorFault("invalid_transition", text, 422, {"from": state, "to": "withdrawn", "allowed": ["permitted"]})
    if message.trigger == "withdraw":
        return None
    if not standing.in_force(peer, peer.peering_epoch, wall):
        text = f"the peer is {peer.status}; relaying needs a peering in force"
        return OperatorFault("peer_not_ready", text, 409, {"status": peer.status})
    return _setting_fault(message.side, settings) or _name_fault(message.side, peer, settings)


def _setting_fault(side: Side, settings: Settings) -> Fault | None:
    if side == "relaying" and not settings.federation.hub_enabled:
        text = "this platform is no hub; set federation.hub.enabled and restart the daemon"
        return OperatorFault("hub_disabled", text, 409, {"setting": "federation.hub.enabled"})
    if not settings.federation.peer_channel:
        text = "relaying begins on a channel; set federation.channel.enabled on both platforms and restart the daemons"
        return OperatorFault("channel_disabled", text, 409, {"setting": "federation.channel.enabled"})
    return None


def _name_fault(side: Side, peer: PeerRecord, settings: Settings) -> Fault | None:
    own = host_of(settings.identity.url)
    if side == "relayed":
        return None
    name = server_name_of(peer)
    if name is None:
        text = "the peer's URL has an address for a host; TLS asks for names only, so that nothing could be told apart"
        return OperatorFault("server_name_required", text, 422, {"url": peer.remote_instance_url})
    if name == own:
        return OperatorFault("server_name_own", "the peer's URL has the host of this platform itself", 422, {"server_name": name})
    return None


def _tell(ctx: Context, record: HubRecord, side: Side, former: str, by: str | None, reason: str | None) -> None:
    """The audit entry in the peer's chain, and the event."""
    state = getattr(record, side)
    told: dict[str, Any] = {"side": side, "former": former, "state": state, "reason": reason}
    if side == "relaying":
        told |= {"server_name": record.server_name, **attrs.asdict(record.terms)}
        told |= {"sources": list(record.terms.sources), "denied": list(record.terms.denied)}
    else:
        told["announced"] = record.announced
    ctx.audit_in(record.id, f"hub.{side}_{state}", "user" if by is not None else "system", by, federation_peer_id=record.id, **told)
    ctx.emit(f"federation.hub.{side}_{state}", "medium", record.account_id, federation_peer_id=record.id, **told)


def _peer(ctx: Context, peer_id: str) -> PeerRecord | None:
    row = ctx.row(PEER.name, peer_id)
    return row.record if row is not None and row.record.peer_kind == "platform" else None


def terms_of(body: Any) -> Terms:
    """The terms in the body of a permission."""
    return Terms(
        connections_max=body.get("connections_max"),
        rate_bytes=body.get("rate_bytes"),
        sources=tuple(sorted(set(body.get("sources") or ()))),
        new_connections_max=body.get("new_connections_max"),
        denied=tuple(sorted(set(body.get("denied") or ()))),
    )
