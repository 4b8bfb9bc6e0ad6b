"""What may leave: with which identity, towards whom, in which state.

Lives here: rules about requests to other platforms, looked at when they leave and when they arrive. Whom a request has really reached, the
world knows.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from actors.door.call import Answer
from actors.ports import RemoteRequest
from sim.checkers.facts import ders
from sim.checkers.registry import Checker, Visit, checker

ACCEPT: Final = "/federation_api/accept"
CONTACT: Final = frozenset({"/federation_api/heartbeat", "/federation_api/trust_bundle"})
LIVE: Final = frozenset({"accepted", "enrolled", "active", "degraded"})
LAST_WORD: Final = "/federation_api/peer_events"
SHAPELESS: Final = frozenset({"malformed_json", "invalid_parameter", "unknown_argument", "body_too_large", "unsupported_media_type"})


@checker("outbound", source="docs/trust-model.md#outbound-calls", holds=("P4", "I4"))
class Outbound(Checker):
    """Nothing but accept leaves without a valid certificate for that peer, accept only as a saved handshake, to ended peers nothing."""

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

    def _other(self, host: Any, row: Any, request: RemoteRequest) -> None:
        pause = row.status == "suspended" and (request.body or {}).get("peer_state") == "suspended"
        allowed = row.status in LIVE or request.path == LAST_WORD or (request.path in CONTACT and pause)
        if not allowed:
            self.complain(host, f"{request.path} leaves for a peer that is {row.status}")
        leaf = self.facts.paper(ders(request.identity.certificate_pem)[0]) if request.identity is not None else None
        if leaf is None:
            self.complain(host, f"{request.path} leaves without a client certificate")
        elif (leaf.names != (f"fed:{row.remote_peer_id}",) and request.path != LAST_WORD) or leaf.uris != (
            f"powernode://instance/{host.instance_id}",
        ):
            self.complain(host, f"{request.path} leaves with a certificate made for somebody else")
        elif leaf.ends <= host.clock.wall():
            self.complain(host, f"{request.path} leaves with a certificate that has ended")


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
