"""Who may call: the order in which a client certificate is believed, found out anew for every call that crosses a link.

Lives here: rules about calls with a certificate. Dates are taken with the documented tolerance of ten minutes.
"""

from __future__ import annotations

from typing import Any, Final

from actors.door.call import Answer
from sim.checkers.facts import Facts, Paper, ders
from sim.checkers.registry import Change, Checker, Commit, Visit, checker

TOLERANCE_S: Final = 600.0
SERVED: Final = frozenset({"accepted", "enrolled", "active", "degraded"})
"""Statuses in which heartbeats and what keeps trust alive are served."""

CONTACT: Final = frozenset({"heartbeat", "trust_bundle"})
LAST_WORD: Final = "peer_events"
"""The notice of the end of a peering is heard in a pause, too, and after the agreed end."""

PEER_ENDED: Final = "platform.peer.revoked"

REFUSALS: Final = frozenset(
    {
        "client_certificate_required", "client_certificate_invalid", "certificate_revoked", "unknown_peer_subject", "instance_san_invalid",
        "peer_not_admitted", "peer_suspended", "peer_revoked", "peering_expired",
    }
)  # fmt: skip
SERVED_CODE: Final = "served"
NOT_YET: Final = frozenset({"unknown_peer_subject", "peer_not_admitted", "client_certificate_invalid"})
"""Refusals of a peer whose accept has not been taken note of."""

BUSY: Final = frozenset({"rate_limited", "unavailable", "deadline_exceeded", "mailbox_full"})
"""What a platform may answer to anybody."""


def code_of(answer: Answer) -> str:
    """`served`, or the code of a refusal."""
    if answer.status < 400:
        return SERVED_CODE
    return str((answer.body or {}).get("code"))


def verdict(facts: Facts, visit: Visit) -> tuple[str, Any]:
    """What the call deserves by the certificate of its connection alone, and the row that it reached."""
    presented = visit.call.source.certificates
    if not presented:
        return "client_certificate_required", None
    leaf = facts.paper(presented[0])
    if leaf is None or not leaf.client or not in_date(leaf, visit.wall) or len(leaf.names) != 1:
        return "client_certificate_invalid", None
    if _revoked(facts, visit, leaf):
        return "certificate_revoked", None
    row = facts.by_subject(visit.host, leaf.names[0])
    if row is None or row.peer_kind != "platform":
        return "unknown_peer_subject", None
    if not _issued(facts, leaf, presented[1:], row, visit.wall):
        return "client_certificate_invalid", row
    if leaf.uris != (f"powernode://instance/{row.remote_instance_id}",):
        return "instance_san_invalid", row
    return _by_status(row, visit), row


def _revoked(facts: Facts, visit: Visit, leaf: Paper) -> bool:
    """A certificate that its issuer has revoked; one that ended with its peering is recognised while the row keeps the subject."""
    found = facts.revoked.get((visit.host.name, f"{leaf.certificate.serial_number:x}"))
    if found is None or found.reason != "peer_revoked":
        return found is not None
    row = facts.peers[visit.host.name].get(found.federation_peer_id)
    return row is None or row.inbound_subject is None


def in_date(paper: Paper, wall: float) -> bool:
    """Whether a certificate is valid at a host's time, within the tolerance."""
    return paper.begins - TOLERANCE_S <= wall <= paper.ends + TOLERANCE_S


def _issued(facts: Facts, leaf: Paper, beside: tuple[bytes, ...], row: Any, wall: float) -> bool:
    anchors = [
        paper
        for anchor in row.trusted_anchors
        if (anchor.accept_from is None or anchor.accept_from <= wall) and (anchor.accept_until is None or wall < anchor.accept_until)
        for der in ders(anchor.pem)
        if (paper := facts.paper(der)) is not None
    ]
    known = {anchor.fingerprint for anchor in anchors}
    strangers = [der for der in beside if (paper := facts.paper(der)) is None or paper.fingerprint not in known]
    return not strangers and any(anchor.authority and in_date(anchor, wall) and facts.signed(leaf, anchor) for anchor in anchors)


def _by_status(row: Any, visit: Visit) -> str:
    wall = visit.wall
    if row.status == "revoked":
        return "peer_revoked"
    if visit.route == LAST_WORD and visit.body.get("kind") == PEER_ENDED:
        return SERVED_CODE if row.status in SERVED or row.status == "suspended" else "peer_not_admitted"
    if row.status == "suspended":
        return "peer_suspended"
    if row.expires_at is not None and row.expires_at <= wall:
        return "peering_expired"
    return SERVED_CODE if row.status in SERVED else "peer_not_admitted"


@checker("admission", source="docs/trust-model.md#inbound-calls", holds=("P5", "P6", "I4", "I13"))
class Admission(Checker):
    """A call is served if and only if its certificate proves the peer by its own anchors, names its instance, and its row serves it."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._changed: dict[tuple[str, str], float] = {}

    def on_peer(self, change: Change, commit: Commit) -> None:
        self._changed[(commit.host.name, change.id)] = self.facts.now

    def on_call(self, visit: Visit) -> None:
        if visit.route != "accept":
            found, row = verdict(self.facts, visit)
            visit.notes["verdict"] = found
            visit.notes["peer"] = None if row is None or found in ("client_certificate_invalid", "instance_san_invalid") else row.id

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        deserved = visit.notes.get("verdict")
        if deserved is None:
            return
        code = code_of(answer)
        if visit.route not in CONTACT and visit.route != LAST_WORD and code != SERVED_CODE:
            return  # What is exchanged between peers has a chain of its own behind this one.
        refused = code in REFUSALS
        if code == deserved or code in BUSY or (deserved == SERVED_CODE and not refused):
            return
        if code == verdict(self.facts, visit)[0]:
            return  # The row changed while the call was being served.
        if deserved == SERVED_CODE and code in NOT_YET and self._unread(visit):
            return
        if deserved == "peer_revoked" and self._ends_in_grace(visit):
            return
        self.complain(visit.host, f"{visit.route} of {visit.source} deserves {deserved} and is answered {code}")

    def _ends_in_grace(self, visit: Visit) -> bool:
        """Whether the call ends a migration that the peer had begun before its peering was revoked, within the grace for that."""
        id = visit.call.path.partition("/federation_api/migrations/")[2].partition("/")[0]
        row, peer = visit.host.store.load("arrival", id), self.facts.peers[visit.host.name].get(visit.notes.get("peer") or "")
        if row is None or peer is None or peer.revoked_at is None or row.record.federation_peer_id != peer.id:
            return False
        in_time = visit.wall < peer.revoked_at + visit.host.federation.revocation_grace_s
        return bool(in_time and row.record.opened_at <= peer.revoked_at and row.record.peering_epoch == peer.peering_epoch - 1)

    def _unread(self, visit: Visit) -> bool:
        """Whether a busy platform has not taken note yet of what its disk holds: until then it may refuse by the former row."""
        changed = self._changed.get((visit.host.name, visit.notes["peer"]))
        return changed is not None and visit.host.lag_s > 0 and self.facts.now - changed <= visit.host.lag_s


@checker("impersonation", source="docs/trust-model.md#inbound-calls", holds=("P6",))
class Impersonation(Checker):
    """Nobody is served as a peer but the platform that this peer really is, or was when the call left it."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._were: dict[str, set[str | None]] = {}

    def on_start(self, host: Any) -> None:
        # A platform that lost everything starts as another one, while calls of the former are still under way.
        self._were.setdefault(host.name, set()).add(host.instance_id)

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        id = visit.notes.get("peer")
        if id is None or answer.status >= 400:
            return
        row = self.facts.peers[visit.host.name][id]
        if row.remote_instance_id not in self._were.get(visit.source, ()):
            self.complain(visit.host, f"{visit.route} of {visit.source} is served as {row.remote_instance_url}")
