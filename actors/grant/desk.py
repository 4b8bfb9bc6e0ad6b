"""The book's actor: the one writer of a peer's grants.

Lives here: one small handler for each operator's message, the grant tests that stand before every write, and what becomes of rows whose
time is over. Must not live here: refusals told to the audit chain (see `trail`), the decision about a call (see `chain`).

Rows are found by index, so a change costs the same at ten and at a hundred thousand grants. Whatever a turn decides (a new grant, the end
of the one that it replaces, the audit entry) is one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.bridge.record import active_bridge
from actors.continuity.record import frozen_now
from actors.grant import axes, expectations, lifecycle, projection, standing, telling, tokens
from actors.grant.axes import AXES
from actors.grant.book import KIND as BOOK
from actors.grant.book import GrantBook
from actors.grant.count import counted, is_open
from actors.grant.lifecycle import OPERATIONS, Operation, archive_at, in_grace, state
from actors.grant.messages import (
    BearerSealed,
    Changed,
    Delivered,
    Ended,
    Issue,
    Issued,
    Lapsed,
    Narrow,
    Review,
    Revoke,
    Rotate,
    SetTests,
)
from actors.grant.record import KIND as GRANT
from actors.grant.record import GrantRecord, slot_of, target
from actors.grant.trail import Trail
from actors.idempotency.record import remember, remember_outcome
from actors.offering.messages import GrantEnded
from actors.offering.record import KIND as OFFERING
from actors.peer import stewardship
from actors.peer.lifecycle import REACHABLE
from actors.peer.messages import GrantTakenBack, news
from actors.peer.outbound import exchange
from actors.peer.peer_events import GRANT_CHANGED, GRANT_ENDS
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.peer.standing import PEER_NOT_FOUND, peer_of
from actors.periodic.works import GRANT_ARCHIVAL, note_run
from actors.ports import GRANT_BEARER_PURPOSE, RemoteReply, Seal
from runtime.actor import Ref, handles
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Condition, Query
from runtime.values import evolve

TOLD_CHANGES = frozenset({"revoked", "expired", "narrowed", "rotated"})
"""Changes of which the holder is told wherever they are made; that a grant was issued is told where its bearer does not come by itself."""

NOT_FOUND = OperatorFault("not_found", "there is no such grant", 404)
ALREADY_REVOKED = OperatorFault("grant_already_revoked", "this grant has ended for good; issue a new one", 409)
DELIVERY_UNKNOWN = "delivery_unknown"
HAS_EXPIRED = OperatorFault("grant_expired", "this grant has expired; issue a new one", 409)


class GrantDesk(Trail):
    """One per peer."""

    kind = BOOK

    # --- issuing -------------------------------------------------------------------------------------------------

    @handles(Issue)
    def on_issue(self, message: Issue, ctx: Context) -> None:
        peer = peer_of(ctx, ctx.ref.id)
        fault = standing.issue_fault(peer, message.account_id)
        if fault is None and message.deliver and peer is not None and peer.status not in REACHABLE:
            fault = OperatorFault("peer_not_ready", f"nothing can be delivered while the peer is {peer.status}", 409)
        if fault is not None:
            ctx.reply(fault)
            return
        secret = None if message.bare else ctx.token_bytes(tokens.SECRET_BYTES)
        bearer, digest = tokens.mint(message.grant_id, secret)
        if message.deliver:
            ctx.call(Seal(bearer, GRANT_BEARER_PURPOSE), then=BearerSealed, tag=(message, bearer, digest, ctx.defer()))
        else:
            outcome = self._issue(ctx, message, digest)
            ctx.reply(outcome if isinstance(outcome, Fault) else Issued(outcome, bearer, message.warnings))

    @handles(BearerSealed)
    def on_bearer_sealed(self, message: BearerSealed, ctx: Context) -> None:
        asked, bearer, digest, address = message.tag
        outcome = message.fault or self._issue(ctx, asked, digest)
        peer = peer_of(ctx, ctx.ref.id)
        if isinstance(outcome, Fault) or peer is None:
            ctx.answer(address, outcome if isinstance(outcome, Fault) else PEER_NOT_FOUND)
            return
        body = {"grant": projection.to_holder(outcome, peer, ctx.wall)}
        request = exchange(peer, None, ctx.settings, ctx.wall, "POST", "/federation_api/grant_deliveries", body)
        kept = (outcome, bearer, asked, address)
        if isinstance(request, Fault):
            self._undelivered(ctx, kept, request.code)
            return
        sealed = {"bearer_token": message.outcome}
        ctx.call(evolve(request, sealed_fields=sealed, sealed_purpose=GRANT_BEARER_PURPOSE), then=Delivered, tag=kept)

    @handles(Delivered)
    def on_delivered(self, message: Delivered, ctx: Context) -> None:
        record, _, asked, address = message.tag
        reply = message.outcome
        if isinstance(reply, RemoteReply) and reply.status in (200, 201) and _acknowledged(reply):
            told = projection.issued(
                record, peer_of(ctx, ctx.ref.id), ctx.wall, None, asked.warnings, frozen=frozen_now(ctx), delivered=True
            )
            remember_outcome(ctx, asked.mark, told)
            ctx.answer(address, Issued(record, None, asked.warnings, delivered=True))
        else:
            self._undelivered(ctx, message.tag, message.fault.code if message.fault is not None else "remote_rejected")

    def _undelivered(self, ctx: Context, kept: Any, code: str) -> None:
        """The grant stands; its bearer goes to the operator instead, who can hand it over by another way."""
        record, bearer, asked, address = kept
        peer = peer_of(ctx, ctx.ref.id)
        if peer is not None:
            self._announce(ctx, record, peer)
        warnings = (*asked.warnings, f"not_delivered:{code}")
        remember_outcome(ctx, asked.mark, projection.issued(record, peer, ctx.wall, None, warnings, frozen=frozen_now(ctx)))
        ctx.answer(address, Issued(record, bearer, warnings))

    def _issue(self, ctx: Context, asked: Issue, digest: str | None) -> GrantRecord | Fault:
        peer = peer_of(ctx, ctx.ref.id)
        fault = standing.issue_fault(peer, asked.account_id)
        if fault is None and peer is not None and asked.origin == "managed_child":
            fault = stewardship.may_not_give(ctx, peer)
        if fault is not None or peer is None:
            return fault or PEER_NOT_FOUND
        record = drafted(asked, peer, digest, ctx.wall)
        former = self._in_slot(ctx, slot_of(record))
        standing_still = former is not None and state(former, ctx.wall) == "active" and former.peering_epoch == record.peering_epoch
        if former is not None and standing_still and not asked.replace:
            return OperatorFault("grant_exists", "a grant in force covers the same already; replace it", 409, {"grant_id": former.id})
        if former is not None and standing_still:
            record = evolve(record, replaces_grant_id=former.id)
        fault = self._broken(ctx, peer, () if former is None else (former,), (record,), force=asked.force)
        if fault is not None:
            return fault
        if former is not None:
            self._make_room(ctx, former, record, asked.by, replaced=standing_still)
        written = self._put(ctx, record, None)
        counted(ctx, record.account_id, ends=is_open(former), begins=1)
        telling.issued(ctx, written, asked.by)
        if asked.deliver:
            # What comes of it is not known yet, and after a crash it stays so: nobody is told that the bearer was shown.
            unknown = (*asked.warnings, DELIVERY_UNKNOWN)
            body = projection.issued(written, peer, ctx.wall, None, unknown, frozen=frozen_now(ctx), revealed=False)
        else:
            body = projection.issued(written, peer, ctx.wall, None, asked.warnings, frozen=frozen_now(ctx))
        remember(ctx, asked.mark, 201, body)
        if asked.origin == "operator" and not asked.deliver:
            self._announce(ctx, written, peer)
        return written

    def _announce(self, ctx: Context, record: GrantRecord, peer: PeerRecord) -> None:
        """Tell the holder of a grant whose bearer comes by another way. It is told what it could ask for, so never a secret."""
        self._tell_holder(ctx, record, "issued", grant=projection.to_holder(record, peer, ctx.wall))

    def _make_room(self, ctx: Context, former: GrantRecord, record: GrantRecord, by: str | None, *, replaced: bool) -> None:
        """Free the slot: of a grant that is replaced, or of one that is over and whose end has not been noted yet."""
        if replaced:
            reason = f"replaced_by:{record.id}"
            ended = evolve(former, revoked_at=ctx.wall, revoked_by=by, revocation_reason=reason, replaced_by=record.id)
            self._tell(ctx, self._put(ctx, ended, former), "revoked", "user", by, reason=reason)
        elif state(former, ctx.wall) == "expired":
            self._expire(ctx, former)
        else:
            self._lapse(ctx, former, "peer_revoked")

    # --- changing ------------------------------------------------------------------------------------------------

    @handles(Narrow)
    def on_narrow(self, message: Narrow, ctx: Context) -> None:
        record = self._grant(ctx, message.grant_id)
        fault = _fault(record, "narrow", ctx.wall, message.expected_version)
        if fault is None and record is not None:
            fault = unfit(record, message.changes, ctx.wall)
        if fault is not None or record is None:
            ctx.reply(fault or NOT_FOUND)
            return
        changed = evolve(record, **message.changes)
        if changed == record:
            ctx.reply(Changed(record))
            return
        fault = self._broken(ctx, peer_of(ctx, ctx.ref.id), (record,), (changed,), force=message.force)
        if fault is not None:
            ctx.reply(fault)
            return
        written = self._put(ctx, changed, record)
        self._tell(ctx, written, "narrowed", "user", message.by, fields=sorted(message.changes), **telling.allowed(written))
        self._answer(ctx, written, message.mark)

    @handles(Revoke)
    def on_revoke(self, message: Revoke, ctx: Context) -> None:
        record = self._grant(ctx, message.grant_id)
        if message.immediate and record is not None and in_grace(record, ctx.wall):
            self._end_grace(ctx, record, message)
            return
        fault = _fault(record, "revoke", ctx.wall)
        if fault is None and record is not None:
            # An immediate end is for an emergency; no expectation may stand in its way.
            fault = self._broken(ctx, peer_of(ctx, ctx.ref.id), (record,), (), force=message.force or message.immediate)
        if fault is not None or record is None:
            ctx.reply(fault or NOT_FOUND)
            return
        reason = message.reason or "operator_initiated"
        ended = evolve(record, revoked_at=ctx.wall, revoked_by=message.by, revocation_reason=reason, revocation_immediate=message.immediate)
        written = self._put(ctx, ended, record)
        counted(ctx, record.account_id, ends=is_open(record), begins=0)
        self._tell(ctx, written, "revoked", "user", message.by, reason=reason, immediate=message.immediate)
        if written.origin == "service_catalog" and written.resource_id is not None:
            ctx.send(Ref(OFFERING.name, written.resource_id), GrantEnded(written.id, "grant_revoked"))
        if written.origin == "managed_child":
            ctx.send(Ref(PEER.name, ctx.ref.id), GrantTakenBack(message.by, message.reason))
        self._answer(ctx, written, message.mark)

    def _end_grace(self, ctx: Context, record: GrantRecord, message: Revoke) -> None:
        """A grant that was revoked already: what is under way may not finish either."""
        written = self._put(ctx, evolve(record, revocation_immediate=True), record)
        self._tell(ctx, written, "grace_ended", "user", message.by, reason=message.reason)
        self._answer(ctx, written, message.mark)

    @handles(Rotate)
    def on_rotate(self, message: Rotate, ctx: Context) -> None:
        record = self._grant(ctx, message.grant_id)
        fault = _fault(record, "rotate", ctx.wall)
        if fault is not None or record is None:
            ctx.reply(fault or NOT_FOUND)
            return
        bearer, digest = tokens.mint(record.id, ctx.token_bytes(tokens.SECRET_BYTES))
        # A bare token has no secret that could go on for a while: it ends here.
        kept = record.token_digest if message.overlap_s > 0 else None
        rotated = evolve(
            record,
            bare_token=False,
            token_digest=digest,
            token_version=record.token_version + 1,
            previous_token_digest=kept,
            previous_token_until=ctx.wall + message.overlap_s if kept is not None else None,
        )
        written = self._put(ctx, rotated, record)
        self._tell(ctx, written, "rotated", "user", message.by, token_version=written.token_version, overlap_s=message.overlap_s)
        shown = projection.issued(written, peer_of(ctx, ctx.ref.id), ctx.wall, None, (), frozen=frozen_now(ctx))
        remember(ctx, message.mark, 200, shown)
        ctx.reply(Issued(written, bearer))

    @handles(Review)
    def on_review(self, message: Review, ctx: Context) -> None:
        record = self._grant(ctx, message.grant_id)
        fault = _fault(record, "review", ctx.wall)
        if fault is not None or record is None:
            ctx.reply(fault or NOT_FOUND)
            return
        written = self._put(ctx, evolve(record, last_reviewed_at=ctx.wall, last_reviewed_by=message.by), record)
        self._tell(ctx, written, "reviewed", "user", message.by)
        self._answer(ctx, written, message.mark)

    @handles(SetTests)
    def on_set_tests(self, message: SetTests, ctx: Context) -> None:
        peer = peer_of(ctx, ctx.ref.id)
        if peer is None or peer.account_id != message.account_id:
            ctx.reply(PEER_NOT_FOUND)
            return
        book = self.record or GrantBook(id=ctx.ref.id, account_id=message.account_id)
        if message.expected_version is not None and message.expected_version != book.version:
            ctx.reply(OperatorFault("version_conflict", "the tests have changed since; read them again", 409, {"version": book.version}))
            return
        if book.tests != message.tests or self.record is None:
            ctx.audit("grant.tests_set", "user", message.by, federation_peer_id=ctx.ref.id, tests=[test.name for test in message.tests])
            ctx.save(evolve(book, tests=message.tests))
        ctx.reply(ctx.record)

    # --- the end of a time ---------------------------------------------------------------------------------------

    @handles(Ended)
    def on_ended(self, message: Ended, ctx: Context) -> None:
        record = self._grant(ctx, message.grant_id)
        if record is None or record.archived_at is not None:
            return
        if state(record, ctx.wall) == "expired" and record.expired_at is None:
            counted(ctx, record.account_id, ends=is_open(record), begins=0)
            self._expire(ctx, record)
        elif lifecycle.ended_at(record) <= ctx.wall and archive_at(record) <= ctx.wall:
            self._tell(ctx, self._put(ctx, evolve(record, archived_at=ctx.wall), record), "archived", "system", None)
            note_run(ctx, GRANT_ARCHIVAL, record.account_id)

    @handles(Lapsed)
    def on_lapsed(self, message: Lapsed, ctx: Context) -> None:
        record = self._grant(ctx, message.grant_id)
        if (
            record is not None
            and record.peering_epoch == message.peering_epoch
            and record.revoked_at is None
            and record.archived_at is None
        ):
            counted(ctx, record.account_id, ends=is_open(record), begins=0)
            self._lapse(ctx, record, message.reason)

    def _expire(self, ctx: Context, record: GrantRecord) -> None:
        self._tell(ctx, self._put(ctx, evolve(record, expired_at=record.expires_at), record), "expired", "system", None)

    def _lapse(self, ctx: Context, record: GrantRecord, reason: str) -> None:
        ended = evolve(record, revoked_at=ctx.wall, revocation_reason=reason, revocation_immediate=False)
        self._tell(ctx, self._put(ctx, ended, record), "revoked", "system", None, reason=reason)

    # --- rows ----------------------------------------------------------------------------------------------------

    def _grant(self, ctx: Context, grant_id: str) -> GrantRecord | None:
        row = ctx.row(GRANT.name, grant_id)
        record: GrantRecord | None = row.record if row is not None else None
        return record if record is not None and record.federation_peer_id == ctx.ref.id else None

    def _in_slot(self, ctx: Context, key: str) -> GrantRecord | None:
        found = ctx.find(GRANT.name, "slot", key)
        return self._grant(ctx, found) if found is not None else None

    def _put(self, ctx: Context, record: GrantRecord, former: GrantRecord | None) -> GrantRecord:
        """Write a row. No blank axis is ever written: what is stored so was put there by somebody else."""
        if record.corrupt and (former is None or not former.corrupt):
            raise ValueError("an axis of a grant is explicit")
        written = evolve(record, version=1 if former is None else former.version + 1, updated_at=ctx.wall)
        ctx.put_row(GRANT.name, written, None if former is None else former.version)
        return written

    def _answer(self, ctx: Context, record: GrantRecord, mark: Any) -> None:
        shown = projection.full(record, None, peer_of(ctx, ctx.ref.id), ctx.wall, frozen=frozen_now(ctx))
        remember(ctx, mark, 200, {"grant": shown})
        ctx.reply(Changed(record))

    def _tell(self, ctx: Context, record: GrantRecord, what: str, by_kind: str, by: str | None, **payload: Any) -> None:
        """Tell of a change here, and to the holder if it concerns him."""
        telling.tell(ctx, record, what, by_kind, by, **payload)
        if what in TOLD_CHANGES:
            self._tell_holder(ctx, record, what)

    def _tell_holder(self, ctx: Context, record: GrantRecord, change: str, **facts: Any) -> None:
        told = news(ctx, GRANT_CHANGED, record.id, {"grant_id": record.id, "change": change, **facts}, ends=change in GRANT_ENDS)
        ctx.send(Ref(PEER.name, record.federation_peer_id), told)

    # --- grant tests ---------------------------------------------------------------------------------------------

    def _broken(
        self, ctx: Context, peer: PeerRecord | None, without: tuple[GrantRecord, ...], plus: tuple[GrantRecord, ...], *, force: bool
    ) -> Fault | None:
        """The refusal of a write that breaks a test which holds now, or None. A test that fails already blocks nothing."""
        book: GrantBook | None = self.record
        if book is None or not book.tests or peer is None or force:
            return None
        gone = {record.id for record in without}

        def now(kind: str, resource_id: str | None) -> list[GrantRecord]:
            return candidates(ctx, ctx.ref.id, kind, resource_id)

        def then(kind: str, resource_id: str | None) -> list[GrantRecord]:
            covered = {target(ctx.ref.id, kind, None), target(ctx.ref.id, kind, resource_id)}
            kept = [record for record in now(kind, resource_id) if record.id not in gone]
            return kept + [each for each in plus if target(ctx.ref.id, each.resource_kind, each.resource_id) in covered]

        facts = standing.facts(peer)
        outcomes = expectations.run(book.tests, then, facts, lambda network: bridged(ctx, peer, network), ctx.wall)
        failing = [outcome.test for outcome in outcomes if not outcome.passed]
        if not failing:
            return None
        before = expectations.run(failing, now, facts, lambda network: bridged(ctx, peer, network), ctx.wall)
        names = [outcome.test.name for outcome in before if outcome.passed]
        return failed(names) if names else None


def failed(names: list[str]) -> OperatorFault:
    """The refusal of a write that breaks these tests."""
    text = f"this would break the grant test{'s' if len(names) > 1 else ''} {', '.join(names)}; nothing was written"
    return OperatorFault("grant_test_failed", text, 409, {"tests": names})


def candidates(ctx: Context, peer_id: str, kind: str, resource_id: str | None) -> list[GrantRecord]:
    """The committed grants of a peer that could cover a call."""
    return [row.record for row in ctx.query(covering(peer_id, kind, resource_id))]


def covering(peer_id: str, kind: str, resource_id: str | None, limit: int | None = None) -> Query:
    """The query for the grants that could cover a call: those for the whole kind, and those for the one resource."""
    wanted = tuple(dict.fromkeys((target(peer_id, kind, None), target(peer_id, kind, resource_id))))
    return Query(GRANT.name, ((Condition("target", "in", wanted),),), limit=limit)


def bridged(ctx: Context, peer: PeerRecord, network_id: str) -> bool:
    """Whether the peer has an active bridge on this network."""
    return active_bridge(ctx.engine.directory, peer.id, network_id) is not None


def drafted(asked: Issue, peer: PeerRecord, digest: str | None, wall: float) -> GrantRecord:
    """The record of a new grant."""
    draft = asked.draft
    return GrantRecord(
        id=asked.grant_id,
        account_id=asked.account_id,
        federation_peer_id=peer.id,
        peering_epoch=peer.peering_epoch,
        grantor_type=asked.grantor_type,
        grantor_id=asked.by,
        origin=asked.origin,
        remote_subject=draft.remote_subject,
        label=draft.label,
        resource_kind=draft.resource_kind,
        resource_id=draft.resource_id,
        permission_scopes=draft.permission_scopes,
        node_instance_ids=draft.node_instance_ids,
        sdwan_network_ids=draft.sdwan_network_ids,
        source_cidrs=draft.source_cidrs,
        issued_at=wall,
        expires_at=wall + draft.ttl_s,
        bare_token=asked.bare,
        token_digest=digest,
        metadata=draft.metadata,
        updated_at=wall,
    )


def unfit(record: GrantRecord, changes: Mapping[str, Any], wall: float) -> Fault | None:
    """The refusal of a change that would allow more in any respect, or ends the grant in the past, naming all of that; or None."""
    wider = "grant_widening_refused"
    problems = []
    if not set(changes.get("permission_scopes", ())) <= set(record.permission_scopes):
        problems.append(("permission_scopes", wider, "a scope can only be taken away"))
    ends_at = changes.get("expires_at", record.expires_at)
    if ends_at > record.expires_at:
        problems.append(("expires_at", wider, "the end can only come earlier"))
    if ends_at != record.expires_at and ends_at <= wall:
        # What had ended before it was given would be put away at once, as if everybody had known for ninety days.
        problems.append(("expires_at", "ttl_out_of_range", "lies in the past; to end the grant now, revoke it"))
    for name in AXES:
        if name in changes and not axes.narrower(name, record.axis(name), changes[name]):
            problems.append((name, wider, "an axis can only lose values"))
    if not problems:
        return None
    told = [{"field": field, "code": code, "message": text} for field, code, text in problems]
    field, code, text = problems[0]
    advice = "; to allow more, issue a new grant in place of this one" if code == wider else ""
    return OperatorFault(code, f"{field}: {text}{advice}", 422, {"problems": told, "problem_count": len(told)})


def _fault(record: GrantRecord | None, operation: Operation, wall: float, expected_version: int | None = None) -> Fault | None:
    if record is None:
        return NOT_FOUND
    if expected_version is not None and expected_version != record.version:
        return OperatorFault("version_conflict", "the grant has changed since; read it again", 409, {"version": record.version})
    found = state(record, wall)
    if found in OPERATIONS[operation]:
        return None
    return HAS_EXPIRED if found == "expired" else ALREADY_REVOKED


def _acknowledged(reply: RemoteReply) -> bool:
    """Whether the holder says that it has the bearer. Any other success may come from somebody who has not read it, and we show it once."""
    data = reply.body.get("data")
    return isinstance(data, dict) and data.get("acknowledged") is True
