"""What may leave: with which identity, towards whom, in which state.

Lives here: rules about requests to other platforms, looked at when they leave and when they arrive. Whom a request has really reached, the
world knows.
"""

from __future__ import annotations

import base64
import math
from typing import Any, Final

from actors.door.call import Answer
from actors.ports import RemoteRequest
from runtime.store.port import Query
from sim.checkers.ability import delay_s
from sim.checkers.facts import ders
from sim.checkers.registry import Change, Checker, Commit, Visit, checker

ACCEPT: Final = "/federation_api/accept"
GIVEN: Final = "operator_grant.bearer_token"
CONTACT: Final = frozenset({"/federation_api/heartbeat", "/federation_api/trust_bundle"})
LIVE: Final = frozenset({"accepted", "enrolled", "active", "degraded"})
MIGRATIONS: Final = "/federation_api/migrations"
HOLDING: Final = frozenset({"transferring", "applying", "in_doubt", "finalizing"})
"""Statuses of a migration whose records are held until both sides know its end."""

REFUSED_HERE: Final = "no_outbound_identity"
LAST_WORD: Final = "/federation_api/peer_events"
SHAPELESS: Final = frozenset({"malformed_json", "invalid_parameter", "unknown_argument", "body_too_large", "unsupported_media_type"})


@checker("outbound", source="docs/trust-model.md#outbound-calls", holds=("P4", "I4"))
class Outbound(Checker):
    """Nothing but accept leaves without a valid certificate for that peer, accept only as a saved handshake, to ended peers nothing."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._ended_at: dict[tuple[str, str], float] = {}
        self._ended: list[RemoteRequest] = []

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        was_live = change.before is not None and change.before.record.status in LIVE
        if was_live and change.after.record.status not in LIVE:
            self._ended_at[(commit.host.name, change.id)] = self.facts.now

    def on_request(self, host: Any, request: RemoteRequest) -> None:
        row = self.facts.peers[host.name].get(request.peer_id)
        if row is None:
            self.complain(host, f"{request.path} leaves for a peer that no row tells of")
        elif request.path == ACCEPT:
            self._accept(host, row, request)
        else:
            self._other(host, row, request)

    def _accept(self, host: Any, row: Any, request: RemoteRequest) -> None:
        body = request.body or {}
        if row.handshake is None or row.handshake.id != body.get("handshake_id"):
            self.complain(host, "an accept leaves whose handshake is not saved")
        if "acceptance_token" in body or "acceptance_token" not in request.sealed_fields:
            self.complain(host, "an accept leaves with its token unsealed")
        given = body.get("operator_grant")
        if given is not None and ("bearer_token" in given or GIVEN not in request.sealed_fields):
            self.complain(host, "an accept leaves with the bearer for its parent unsealed")

    def _other(self, host: Any, row: Any, request: RemoteRequest) -> None:
        pause = row.status == "suspended" and (request.body or {}).get("peer_state") == "suspended"
        allowed = row.status in LIVE or request.path == LAST_WORD or (request.path in CONTACT and pause)
        if not (allowed or self._goes_on_in_grace(host, row, request) or self._was_decided_before(host, request)):
            self.complain(host, f"{request.path} leaves for a peer that is {row.status}")
        leaf = self.facts.paper(ders(request.identity.certificate_pem)[0]) if request.identity is not None else None
        if leaf is None:
            self.complain(host, f"{request.path} leaves without a client certificate")
        elif (leaf.names != (f"fed:{row.remote_peer_id}",) and request.path != LAST_WORD) or leaf.uris != (
            f"powernode://instance/{host.instance_id}",
        ):
            self.complain(host, f"{request.path} leaves with a certificate made for somebody else")
        elif leaf.ends <= host.clock.wall():
            self._ended.append(request)

    def on_return(self, host: Any, request: RemoteRequest, outcome: Any) -> None:
        if any(each is request for each in self._ended):
            self._ended = [each for each in self._ended if each is not request]
            # Actors may ask for it; the port sends nothing.
            if getattr(outcome, "code", None) != REFUSED_HERE:
                self.complain(host, f"{request.path} leaves with a certificate that has ended")

    def _was_decided_before(self, host: Any, request: RemoteRequest) -> bool:
        """Whether it may wait for a commit of its own since a moment at which nothing had ended; a peer's own row decides by itself."""
        since_s = self.facts.now - self._ended_at.get((host.name, request.peer_id), -math.inf)
        return request.path not in CONTACT and since_s <= 2 * delay_s(host)

    def _goes_on_in_grace(self, host: Any, row: Any, request: RemoteRequest) -> bool:
        """Whether it is a word about a migration that holds its records since before the revocation, within the grace for that."""
        if row.status != "revoked" or not request.path.startswith(MIGRATIONS):
            return False
        id = request.path[len(MIGRATIONS) + 1 :].partition("/")[0] or (request.body or {}).get("migration_id")
        found = (each.record for each in host.store.query(Query("migration")) if each.record.transfer_id == id)
        in_time = host.clock.wall() < row.revoked_at + host.federation.revocation_grace_s
        return in_time and any(each.status in HOLDING and each.peering_epoch == row.peering_epoch - 1 for each in found)


@checker("right_server", source="docs/trust-model.md#outbound-calls", holds=("P4",))
class RightServer(Checker):
    """A request reaches only the platform that it is for: for accept the one whose CA the token or the row pins, else the peer itself."""

    def on_call(self, visit: Visit) -> None:
        sender = self.facts.world.hosts.get(visit.source)
        if sender is None:
            return
        if visit.route == "accept":
            pin = str(visit.body.get("acceptance_token")).partition(".")[2]
            held = {_pin(fingerprint) for fingerprint in self.facts.authority_of(visit.host)}
            if pin and pin not in held:
                self.complain(sender, f"the token of another platform reaches {visit.host.name}")
            return
        presented = visit.call.source.certificates
        leaf = self.facts.paper(presented[0]) if presented else None
        row = None if leaf is None or not leaf.names else self.facts.by_remote(sender, leaf.names[0])
        if row is not None and row.remote_instance_id != visit.host.instance_id:
            self.complain(sender, f"a {visit.route} for {row.remote_instance_url} reaches {visit.host.name}")


def _pin(fingerprint: str) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(fingerprint.removeprefix("sha256:"))[:16]).rstrip(b"=").decode()


@checker("understood", source="docs/protocol.md", holds=("I14",))
class Understood(Checker):
    """What one platform sends another takes: no request of the product is refused for its form, whichever releases the two run."""

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        code = (answer.body or {}).get("code")
        if code in SHAPELESS and visit.source in self.facts.world.hosts:
            self.complain(visit.host, f"{visit.route} of {visit.source} is refused for its form: {code}")
