"""Who may use what: the grants of a platform, judged anew for every call that a bearer opens.

Lives here: the rules that a served call had a grant behind it, and that a stored grant says what it admits, restated over committed rows
alone. Must not live here: who a certificate is
(see `admission`), what becomes of bearers that a platform holds (see `bearers`), or the code that judges calls.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import Any, Final

import attrs

from actors.door.call import Answer
from runtime.store.port import Query
from sim.checkers.admission import SERVED_CODE, verdict
from sim.checkers.registry import Checker, Commit, Visit, checker

RESOURCES: Final = "resources"
MIGRATIONS: Final = "migrations"
GATED: Final = frozenset({RESOURCES, MIGRATIONS, "migration_chains"})
"""Routes whose calls need a grant's bearer."""
SEATS: Final = "subscriptions"
OFFERING: Final = "ServiceOffering"
HELD: Final = "grants"
WITHOUT: Final = frozenset({"arrived", "reclaim", "withdraw"})
"""Calls below them that need none: the caller asks for what was its own, or ends what it wished for."""
ENDING: Final = frozenset({"fence", "finalize"})
GRACE_S: Final = 300.0
"""So long what was announced in time may go on after its grant was revoked, unless that was to be at once."""
PROVEN: Final = frozenset({"enrolled", "active", "degraded"})
STORING: Final = frozenset({"grant", "service_offering"})
"""Kinds of rows that store axes."""
AXES: Final = ("node_instance_ids", "sdwan_network_ids", "source_cidrs")
CARRYING: Final = PROVEN | {"accepted"}
_BEARER: Final = re.compile(r"[Bb]earer +fg-([0-9a-f-]{36})(?:\.(.+))?")


def _digest(secret: str | None) -> str | None:
    return None if secret is None else hashlib.sha256(secret.encode()).hexdigest()


def _plain(kind: str) -> str:
    """A kind without the differences between its two spellings."""
    return kind.replace("_", "").lower()


@attrs.frozen
class Need:
    """What a call needs a grant for.

    Attributes:
        kind: of the resources; empty on routes that range over all kinds.
        id: of the one record; empty for a list.
        begun_at: since when the work is under way with which the call goes on, seconds since the epoch; None where something begins.
        ends_only: the call can only end that work, or ask what became of it.
    """

    scope: str
    kind: str = ""
    id: str = ""
    begun_at: float | None = None
    ends_only: bool = False


@checker("explicit_axes", source="docs/grants.md#three-axes", holds=("G1",))
class ExplicitAxes(Checker):
    """What a stored grant admits, and what an offering gives to the grants of its seats, is any or a list of values, never a blank."""

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind not in STORING or change.after is None:
                continue
            for axis in AXES:
                stored = tuple(getattr(change.after.record, axis))
                before = tuple(getattr(change.before.record, axis)) if change.before is not None else None
                if stored != before and stored != ("*",) and (not stored or any(not each.strip() or each == "*" for each in stored)):
                    self.complain(commit.host, f"{change.kind} {change.id}: {axis} is stored as {list(stored)}")


@checker("grant_gate", source="docs/grants.md", holds=("I3",))
class GrantGate(Checker):
    """A call is served only if its bearer is of a live grant of its peer that covers kind, record, scope and every axis.

    So are the calls of migrations and of hops of chains, but for the end of what was begun in time; and a seat is given, renewed or shown
    only with a live grant of its own.
    """

    def on_call(self, visit: Visit) -> None:
        if visit.route in GATED:
            visit.notes["grant"] = self._covering(visit)

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        if answer.status >= 400:
            return
        if visit.route == SEATS:
            self._seat(visit, answer)
        elif visit.route == HELD:
            self._told(visit, answer)
        elif visit.route in GATED:
            # A row may change while the call is being served; one of the two moments must allow it.
            grant = visit.notes["grant"]
            if isinstance(grant, str):
                grant = self._covering(visit)
            if isinstance(grant, str):
                self.complain(visit.host, f"{visit.call.method} {visit.call.path} of {visit.source} is served, although {grant}")
            elif grant is not None and visit.route == RESOURCES and visit.call.method != "PUT":
                self._shown(visit, answer, grant)

    def _shown(self, visit: Visit, answer: Answer, grant: Any) -> None:
        shown = (answer.body or {}).get("data")
        records = shown if isinstance(shown, list) else [shown] if shown is not None else []
        for record in records:
            wrong_kind = _plain(str(record.get("kind"))) != _plain(grant.resource_kind)
            if wrong_kind or (grant.resource_id is not None and "id" in record and record["id"] != grant.resource_id):
                self.complain(visit.host, f"{visit.source} is shown what grant {grant.id} does not cover")

    def _seat(self, visit: Visit, answer: Answer) -> None:
        """A seat that is given, renewed or shown has a grant in force, which the bearer in the answer opens."""
        data = (answer.body or {}).get("data")
        if visit.call.method == "DELETE" or not isinstance(data, dict):
            return
        _, peer = verdict(self.facts, visit)
        row = visit.host.store.load("grant", str(data.get("grant_id")))
        bearer = _BEARER.fullmatch(f"Bearer {data['bearer_token']}") if "bearer_token" in data else None
        if row is None or peer is None:
            self.complain(visit.host, f"{visit.source} has a seat without a grant")
            return
        grant = row.record
        need = Need(scope=next(iter(grant.permission_scopes), ""), kind=OFFERING, id=str(data.get("service_offering_id")))
        digest = grant.token_digest if bearer is None else _digest(bearer[2])
        # It ends as soon as anybody ends it: what was said a moment before is not wrong.
        wall = visit.wall
        wrong = None if grant.revoked_at is not None and grant.revoked_at >= wall else _why_not(grant, peer, digest, need, wall, None)
        if wrong is not None:
            self.complain(visit.host, f"{visit.source} has a seat, although {wrong}")

    def _told(self, visit: Visit, answer: Answer) -> None:
        """Whoever asks for his grants is told of no others, and that a bearer is good only if it is."""
        _, peer = verdict(self.facts, visit)
        match = _BEARER.fullmatch(visit.call.headers.get("authorization", ""))
        for told in (answer.body or {}).get("data") or ():
            row = visit.host.store.load("grant", told["id"])
            if row is None or peer is None or row.record.federation_peer_id != peer.id:
                self.complain(visit.host, f"{visit.source} is told of the grant {told['id']}, which is none of its own")
            elif told.get("presented") and (match is None or not _fits(row.record, match[1], _digest(match[2]), visit.wall)):
                self.complain(visit.host, f"{visit.source} is told that its bearer is that of the grant {told['id']}, and it is not")

    def _covering(self, visit: Visit) -> Any:
        """The grant that covers the call, None if it needs none, or why there is none."""
        found, peer = verdict(self.facts, visit)
        need = _need(visit, peer)
        if need is None:
            return None
        arrival = _arrival(visit)
        if arrival is not None and peer is not None and _may_end(arrival, peer, visit):
            return None
        if found != SERVED_CODE or peer is None or peer.status not in PROVEN:
            return "its peer is served nothing now"
        if arrival is not None and (arrival.federation_peer_id, arrival.peering_epoch) != (peer.id, peer.peering_epoch):
            return "the migration is another peer's, or of another peering"
        match = _BEARER.fullmatch(visit.call.headers.get("authorization", ""))
        row = visit.host.store.load("grant", match[1]) if match is not None else None
        if match is None or row is None:
            return "there is no such grant"
        grant, wall = row.record, visit.host.clock.wall()
        subject = visit.call.headers.get("x-federation-subject")
        return _why_not(grant, peer, _digest(match[2]), need, wall, subject) or self._why_not_from(grant, peer, visit) or grant

    def _why_not_from(self, grant: Any, peer: Any, visit: Visit) -> str | None:
        source = visit.call.source
        lists = {
            "node_instance_ids": (grant.node_instance_ids, peer.remote_instance_id),
            "sdwan_network_ids": (grant.sdwan_network_ids, source.network_id),
        }
        for axis, (allowed, value) in lists.items():
            if not allowed or (tuple(allowed) != ("*",) and value not in allowed):
                return f"{axis} does not hold"
        if not _inside(grant.source_cidrs, None if source.relayed_by or source.dialled else source.address):
            return "source_cidrs does not hold"
        if source.network_id is None:
            return "the peer is served through overlays only" if peer.overlay_only else None
        bridges = [row.record for row in visit.host.store.query(Query("bridge"))]
        open_now = any(
            each.federation_peer_id == peer.id
            and each.sdwan_network_id == source.network_id
            and each.state == "active"
            and each.peering_epoch == peer.peering_epoch
            for each in bridges
        )
        return None if open_now and peer.status in CARRYING else "the network has no active bridge"


def _need(visit: Visit, peer: Any) -> Need | None:
    """What the call needs a grant for; None if it needs none."""
    _, _, rest = visit.call.path.partition(f"/federation_api/{visit.route}")
    parts = rest.strip("/").split("/")
    if visit.route == RESOURCES:
        id = parts[1] if len(parts) > 1 else ""
        return Need(scope="write" if visit.call.method == "PUT" else "read", kind=parts[0], id=id)
    if parts[-1] in WITHOUT:
        return None
    arrival = _arrival(visit)
    if arrival is not None and (parts[0] or arrival.federation_peer_id == getattr(peer, "id", None)):
        ends_only = visit.call.method == "GET" or parts[-1] in ENDING
        return Need("migrate", arrival.root_resource_kind, arrival.root_resource_id, arrival.opened_at, ends_only)
    return Need("migrate", str(visit.body.get("root_resource_kind", "")), str(visit.body.get("root_resource_id", "")))


def _arrival(visit: Visit) -> Any:
    """What a platform has written down of the migration that a call is about, or None."""
    if visit.route != MIGRATIONS:
        return None
    named = visit.call.path.partition(f"/federation_api/{MIGRATIONS}")[2].strip("/").partition("/")[0]
    row = visit.host.store.load("arrival", named or str(visit.body.get("migration_id", "")))
    return row.record if row is not None else None


def _may_end(arrival: Any, peer: Any, visit: Visit) -> bool:
    """Whether a migration comes to its end without a grant: in the grace of its peering's end, or reclaimed under the next peering."""
    if arrival.federation_peer_id != peer.id:
        return False
    if arrival.reclaimed:
        return bool(peer.status in PROVEN and arrival.peering_epoch == peer.peering_epoch)
    end = peer.revocation
    return bool(
        peer.status == "revoked"
        and end is not None
        and end.phase == "draining"
        and visit.wall < end.drain_until
        and peer.peering_epoch == arrival.peering_epoch + 1
    )


def _fits(grant: Any, grant_id: str, digest: str | None, wall: float) -> bool:
    """Whether a bearer is that of a grant, or the former one while it stays good."""
    former = grant.previous_token_until is not None and wall < grant.previous_token_until and digest == grant.previous_token_digest
    right = digest == grant.token_digest or (former and digest is not None)
    return grant_id == grant.id and right and (digest is not None or grant.bare_token)


def _why_not(grant: Any, peer: Any, digest: str | None, need: Need, wall: float, subject: str | None) -> str | None:
    """Why a grant is not good for this bearer, this peer, this time and this need; None if it is."""
    began = need.begun_at is not None and grant.archived_at is None and need.begun_at <= min(grant.revoked_at or wall, grant.expires_at)
    ending = began and need.ends_only
    in_grace = grant.revoked_at is not None and not grant.revocation_immediate and wall < grant.revoked_at + GRACE_S
    reasons = {
        "the grant is another peer's": grant.federation_peer_id == peer.id and grant.account_id == peer.account_id,
        "the grant belongs to an earlier peering": grant.peering_epoch == peer.peering_epoch,
        "the secret is another one": ending or _fits(grant, grant.id, digest, wall),
        "the grant is revoked": ending or (grant.revoked_at is None and grant.archived_at is None) or (began and in_grace),
        "the grant has expired": ending or wall < grant.expires_at,
        "the grant is for another kind": not need.kind or _plain(need.kind) == _plain(grant.resource_kind),
        "the grant is for another record": not need.id or grant.resource_id in (None, need.id),
        f"the grant does not allow to {need.scope}": need.scope in grant.permission_scopes,
        "the grant is for another subject": subject is None or subject == grant.remote_subject,
    }
    return next((text for text, holds in reasons.items() if not holds), None)


def _inside(allowed: Any, text: str | None) -> bool:
    if tuple(allowed) == ("*",):
        return True
    if text is None:
        return False
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in ipaddress.ip_network(each) for each in allowed)
