"""Who may use what: the grants of a platform, judged anew for every call that a bearer opens.

Lives here: the rule that a served call had a grant behind it, restated over committed rows alone, and what becomes of the bearers that a
platform holds. Must not live here: who a certificate is (see `admission`), or the code that judges calls.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import Any, Final

from actors.door.call import Answer
from runtime.store.port import Query
from sim.checkers.admission import SERVED_CODE, verdict
from sim.checkers.registry import Checker, Visit, checker

GATED: Final = "resources"
PROVEN: Final = frozenset({"enrolled", "active", "degraded"})
CARRYING: Final = PROVEN | {"accepted"}
_BEARER: Final = re.compile(r"[Bb]earer +fg-([0-9a-f-]{36})(?:\.(.+))?")


def _digest(secret: str | None) -> str | None:
    return None if secret is None else hashlib.sha256(secret.encode()).hexdigest()


def _plain(kind: str) -> str:
    """A kind without the differences between its two spellings."""
    return kind.replace("_", "").lower()


@checker("grant_gate", source="docs/grants.md", holds=("I3",))
class GrantGate(Checker):
    """A call is served only if its bearer is of a live grant of its peer that covers kind, record, scope and every axis."""

    def on_call(self, visit: Visit) -> None:
        if visit.route == GATED:
            visit.notes["grant"] = self._covering(visit)

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        if visit.route != GATED or answer.status >= 400:
            return
        # A row may change while the call is being served; one of the two moments must allow it.
        grant = visit.notes["grant"]
        if isinstance(grant, str):
            grant = self._covering(visit)
        if isinstance(grant, str):
            self.complain(visit.host, f"{visit.call.method} {visit.call.path} of {visit.source} is served, although {grant}")
            return
        if visit.call.method == "PUT":
            return
        shown = (answer.body or {}).get("data")
        records = shown if isinstance(shown, list) else [shown] if shown is not None else []
        for record in records:
            wrong_kind = _plain(str(record.get("kind"))) != _plain(grant.resource_kind)
            if wrong_kind or (grant.resource_id is not None and "id" in record and record["id"] != grant.resource_id):
                self.complain(visit.host, f"{visit.source} is shown what grant {grant.id} does not cover")

    def _covering(self, visit: Visit) -> Any:
        """The grant that covers the call, or why there is none."""
        found, peer = verdict(self.facts, visit)
        if found != SERVED_CODE or peer is None or peer.status not in PROVEN:
            return "its peer is served nothing now"
        match = _BEARER.fullmatch(visit.call.headers.get("authorization", ""))
        row = visit.host.store.load("grant", match[1]) if match is not None else None
        if match is None or row is None:
            return "there is no such grant"
        grant = row.record
        return _why_not(grant, peer, _digest(match[2]), visit) or self._why_not_from(grant, peer, visit) or grant

    def _why_not_from(self, grant: Any, peer: Any, visit: Visit) -> str | None:
        source = visit.call.source
        lists = {
            "node_instance_ids": (grant.node_instance_ids, peer.remote_instance_id),
            "sdwan_network_ids": (grant.sdwan_network_ids, source.network_id),
        }
        for axis, (allowed, value) in lists.items():
            if not allowed or (tuple(allowed) != ("*",) and value not in allowed):
                return f"{axis} does not hold"
        if not _inside(grant.source_cidrs, source.address):
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


def _why_not(grant: Any, peer: Any, digest: str | None, visit: Visit) -> str | None:
    """Why a grant is not good for this bearer, this peer, this time and this record; None if it is."""
    wall = visit.host.clock.wall()
    former = grant.previous_token_until is not None and wall < grant.previous_token_until and digest == grant.previous_token_digest
    _, _, rest = visit.call.path.partition("/resources")
    kind, _, id = rest.strip("/").removesuffix("/mirror").partition("/")
    scope = "write" if visit.call.method == "PUT" else "read"
    subject = visit.call.headers.get("x-federation-subject")
    reasons = {
        "the grant is another peer's": grant.federation_peer_id == peer.id and grant.account_id == peer.account_id,
        "the grant belongs to an earlier peering": grant.peering_epoch == peer.peering_epoch,
        "the secret is another one": digest == grant.token_digest or (former and digest is not None),
        "the bearer has no secret": digest is not None or grant.bare_token,
        "the grant is revoked": grant.revoked_at is None and grant.archived_at is None,
        "the grant has expired": wall < grant.expires_at,
        "the grant is for another kind": not kind or _plain(kind) == _plain(grant.resource_kind),
        "the grant is for another record": not id or grant.resource_id in (None, id),
        f"the grant does not allow to {scope}": scope in grant.permission_scopes,
        "the grant is for another subject": subject is None or subject == grant.remote_subject,
    }
    return next((text for text, holds in reasons.items() if not holds), None)


def _inside(allowed: Any, text: str) -> bool:
    if tuple(allowed) == ("*",):
        return True
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in ipaddress.ip_network(each) for each in allowed)


@checker("held_bearers", source="docs/grants.md#grants-that-others-gave-us", holds=("I4",))
class HeldBearers(Checker):
    """When a revocation is complete, no bearer that its peer gave us is left."""

    def on_rest(self, host: Any) -> None:
        for row in host.store.query(Query("received_grant")):
            peer = self.facts.peers[host.name].get(row.record.federation_peer_id)
            over = peer is None or (peer.revocation is not None and peer.revocation.phase == "complete" and not peer.revocation.untold)
            if over:
                self.complain(host, f"{row.record.id}: its peering is over, and the bearer is still held")
