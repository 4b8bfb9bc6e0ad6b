"""Where anchors come from, and how long they count: a ledger of every CA that a row may take calls under, kept beside the product.

Lives here: the ledger and the rule. What was handed over in a handshake, what a cross-signature proves (verified here with the library
alone) and what an operator approved enters it; the end of a window takes it out again for good.
"""

from __future__ import annotations

import base64
import binascii
import math
from datetime import datetime
from typing import Any, Final

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from actors.door.call import Answer
from actors.ports import RemoteReply, RemoteRequest
from sim.checkers.facts import Paper, ders
from sim.checkers.registry import Change, Checker, Commit, Visit, checker
from sim.checkers.tokens import fresh_receipt

DAY_S: Final = 86_400.0
WINDOW_MAX_S: Final = 30 * DAY_S
TOLERANCE_S: Final = 600.0
CUT_WITHIN_S: Final = 5.0
"""Within what time, beside that of its disk, a platform whose root has ended at once takes no call under it any more."""

BY: Final = frozenset(
    {
        "peer.accepted", "peer.rehandshake", "peer.anchor_announced", "peer.anchor_approved", "peer.own_roots_followed",
        "peer.certificate_signed",
    }
)  # fmt: skip
"""Audit entries under which an anchor may come into force."""

APPROVE: Final = "/trust/approve_anchor"


@attrs.define(eq=False)
class Permit:
    """One CA under which one row may take calls, until a moment of its platform's clock."""

    paper: Paper
    until: float = math.inf
    retiring: bool = False


@attrs.frozen
class Proof:
    """A cross-signature that holds: by whom, and the end of the window."""

    signer: str
    paper: Paper
    ends: float


@attrs.define(eq=False)
class Ledger:
    """What may count for one row.

    Attributes:
        permits: by fingerprint.
        ended: fingerprints that have been taken out.
        told: what a remote handed over in an accept, proven what it proved, approved what an operator named; not yet taken.
    """

    permits: dict[str, Permit] = attrs.field(factory=dict)
    ended: set[str] = attrs.field(factory=set)
    told: dict[str, Paper] = attrs.field(factory=dict)
    proven: dict[str, Proof] = attrs.field(factory=dict)
    approved: set[str] = attrs.field(factory=set)

    def start_over(self, papers: dict[str, Paper]) -> None:
        """A handshake or an approval: these count from now on, and nothing else."""
        self.ended = (self.ended | self.permits.keys()) - papers.keys()
        self.permits = {fingerprint: Permit(paper) for fingerprint, paper in papers.items()}
        self.told, self.proven, self.approved = {}, {}, set()


@checker("anchors", source="docs/trust-model.md#rotation", holds=("P10",))
class Anchors(Checker):
    """A call counts only under a CA that an accept named, that a CA in force signed for within its window, or that an operator approved."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._ledgers: dict[tuple[str, str], Ledger] = {}
        self._roots: dict[tuple[str, str], float] = {}

    # --- what may count ------------------------------------------------------------------------------------------

    def on_return(self, host: Any, request: RemoteRequest, outcome: Any) -> None:
        if not isinstance(outcome, RemoteReply) or outcome.status != 200:
            return
        data = outcome.body.get("data")
        if not isinstance(data, dict):
            return
        ledger = self._ledger(host, request.peer_id)
        if request.path == "/federation_api/accept":
            exchange, signed = data.get("trust_exchange"), data.get("federation_certificate")
            pem = exchange.get("ca_bundle_pem") if isinstance(exchange, dict) else None
            pem = signed.get("ca_chain_pem") if isinstance(signed, dict) else pem
            ledger.told = self._papers(pem)
        elif request.path == "/federation_api/trust_bundle":
            proof = self._proof(host, request, data, ledger)
            if proof is not None:
                ledger.proven[proof.paper.fingerprint] = proof
            offered = self._papers(data.get("ca_bundle_pem"))
            ledger.told = {fingerprint: paper for fingerprint, paper in offered.items() if fingerprint in ledger.approved}

    def _proof(self, host: Any, request: RemoteRequest, data: dict[str, Any], ledger: Ledger) -> Proof | None:
        """The statement of `docs/protocol.md`, put together anew and verified under a CA that counts now."""
        rotation = data.get("rotation")
        row = self.facts.peers[host.name].get(request.peer_id)
        if not isinstance(rotation, dict) or row is None:
            return None
        papers = self._papers(rotation.get("next_ca_pem"))
        signer = ledger.permits.get(str(rotation.get("signed_by")))
        wall = host.clock.wall()
        begins, ends = _seconds(rotation.get("begins")), _seconds(rotation.get("ends"))
        if len(papers) != 1 or signer is None or signer.retiring or wall >= signer.until or begins is None or ends is None:
            return None
        if not (0 < ends - begins <= WINDOW_MAX_S and begins - TOLERANCE_S <= wall < ends):
            return None
        ((new, paper),) = papers.items()
        lines = ("powernode-anchor-rotation-v1", new, signer.paper.fingerprint, row.remote_instance_id, host.instance_id,
                 f"{begins} {ends}", "")  # fmt: skip
        key = signer.paper.certificate.public_key()
        if not isinstance(key, ed25519.Ed25519PublicKey) or new in ledger.ended:
            return None
        try:
            key.verify(base64.b64decode(str(rotation.get("signature"))), "\n".join(lines).encode())
        except (InvalidSignature, binascii.Error, ValueError):
            return None
        return Proof(signer.paper.fingerprint, paper, float(ends))

    def on_operator_call(self, visit: Visit) -> None:
        if visit.call.path.endswith(APPROVE):
            self._approval(visit).approved.add(str(visit.body.get("fingerprint")))

    def on_operator_answer(self, visit: Visit, answer: Answer) -> None:
        if visit.call.path.endswith(APPROVE) and answer.status >= 400:
            self._approval(visit).approved.discard(str(visit.body.get("fingerprint")))

    def _approval(self, visit: Visit) -> Ledger:
        return self._ledger(visit.host, visit.call.path.removesuffix(APPROVE).rpartition("/")[2])

    # --- what comes into force -----------------------------------------------------------------------------------

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        after = change.after.record
        before = () if change.before is None else change.before.record.trusted_anchors
        if after.trusted_anchors is before:
            return
        ledger = self._ledger(commit.host, change.id)
        held = {anchor.fingerprint: anchor for anchor in after.trusted_anchors}
        new = held.keys() - {anchor.fingerprint for anchor in before}
        actions = {entry.action for entry in commit.entries if entry.chain == change.id}
        if new and not actions & BY:
            self.complain(commit.host, f"{change.id}: an anchor comes into force without an accept, a proof or an approval")
        strange = self._taken(ledger, change, commit, held, new, actions)
        if strange:
            self.complain(commit.host, f"{change.id}: an anchor comes into force that nobody vouched for: {', '.join(sorted(strange))}")
        for fingerprint in ledger.permits.keys() - held.keys():
            del ledger.permits[fingerprint]
            ledger.ended.add(fingerprint)
        for fingerprint, anchor in held.items():
            permit = ledger.permits.get(fingerprint)
            if permit is not None:
                permit.retiring = anchor.state == "retiring"
                self._not_longer(commit, change.id, permit, anchor)

    def _taken(
        self, ledger: Ledger, change: Change, commit: Commit, held: dict[str, Any], new: Any, actions: set[str]
    ) -> set[str]:  # fmt: skip
        """Let the ledger follow a commit; what it knows no reason for is returned."""
        after = change.after.record if change.after is not None else None
        assert after is not None
        papers = {fingerprint: paper for fingerprint, anchor in held.items() for paper in self._papers(anchor.pem).values()}
        if _of_our_own(after):
            own = self.facts.authority_of(commit.host)
            for fingerprint in new & own:
                ledger.permits[fingerprint] = Permit(papers[fingerprint])
                ledger.ended.discard(fingerprint)
            return set(new - own)
        if fresh_receipt(change) is not None:
            # What came with the accept is compared with the row by the checker of accepts.
            ledger.start_over(papers)
            return set()
        if actions & {"peer.accepted", "peer.rehandshake"}:
            strange = papers.keys() - ledger.told.keys() if new else set()
            ledger.start_over(papers)
            return set(strange)
        if "peer.anchor_approved" in actions:
            strange = papers.keys() - (ledger.told.keys() & ledger.approved)
            ledger.start_over(papers)
            return set(strange)
        for fingerprint in new & ledger.proven.keys():
            proof = ledger.proven.pop(fingerprint)
            for permit in ledger.permits.values():
                permit.until = min(permit.until, proof.ends)
            ledger.permits[fingerprint] = Permit(proof.paper)
        return set(new - ledger.permits.keys())

    def _not_longer(self, commit: Commit, id: str, permit: Permit, anchor: Any) -> None:
        until = math.inf if anchor.accept_until is None else anchor.accept_until
        if until > permit.until and len(self._ledger(commit.host, id).permits) > 1:
            self.complain(commit.host, f"{id}: an anchor is to count longer than the window that was signed for")

    # --- our own roots, under which children call ----------------------------------------------------------------

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind == "rotation" and change.after is not None:
                self._own_root_changed(commit, change.after.record)

    def _own_root_changed(self, commit: Commit, rotation: Any) -> None:
        """A window of our own ends for the certificates of children, too; after a compromise at once."""
        kept = {root.fingerprint for root in (rotation.current, rotation.next) if root is not None}
        kept |= set() if rotation.current is not None else self.facts.root_of(commit.host)
        grace = CUT_WITHIN_S + commit.host.store.disk.fsync_s * 4 + commit.host.lag_s * 4
        for (host, id), ledger in self._ledgers.items():
            row = self.facts.peers[host].get(id) if host == commit.host.name else None
            if row is None or not _of_our_own(row):
                continue
            for fingerprint, permit in ledger.permits.items():
                if rotation.forced and fingerprint not in kept:
                    permit.until = min(permit.until, commit.wall + grace)
                elif rotation.next is not None and fingerprint != rotation.next.fingerprint:
                    permit.until = min(permit.until, float(rotation.ends))

    # --- what is served ------------------------------------------------------------------------------------------

    def on_call(self, visit: Visit) -> None:
        visit.notes["anchor"] = self._permitted(visit)

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        permitted = visit.notes.get("anchor")
        if permitted is False and answer.status < 400 and self._permitted(visit) is False:
            self.complain(visit.host, f"{visit.route} of {visit.source} is served under a CA that does not count (any more)")

    def _permitted(self, visit: Visit) -> bool | None:
        """Whether the certificate of a call stands under a CA of the row's ledger; None if it reaches no row."""
        presented = visit.call.source.certificates
        leaf = self.facts.paper(presented[0]) if presented else None
        row = None if leaf is None or len(leaf.names) != 1 else self.facts.by_subject(visit.host, leaf.names[0])
        if leaf is None or row is None:
            return None
        permits = self._ledger(visit.host, row.id).permits.values()
        return any(visit.wall < permit.until and self.facts.signed(leaf, permit.paper) for permit in permits)

    # --- another disk --------------------------------------------------------------------------------------------

    def on_replaced(self, host: Any) -> None:
        """What an earlier disk says was justified when it was written; what has ended since is known to nobody there."""
        for key in [key for key in self._ledgers if key[0] == host.name]:
            del self._ledgers[key]
        for id, row in self.facts.peers[host.name].items():
            ledger = self._ledger(host, id)
            for anchor in row.trusted_anchors:
                until = math.inf if anchor.accept_until is None else anchor.accept_until
                ledger.permits |= {f: Permit(paper, until, anchor.state == "retiring") for f, paper in self._papers(anchor.pem).items()}

    def _ledger(self, host: Any, id: str) -> Ledger:
        ledger = self._ledgers.get((host.name, id))
        if ledger is None:
            ledger = self._ledgers[host.name, id] = Ledger()
        return ledger

    def _papers(self, pem: object) -> dict[str, Paper]:
        found = [self.facts.paper(der) for der in ders(pem)] if isinstance(pem, str) else []
        return {paper.fingerprint: paper for paper in found if paper is not None}


def _of_our_own(row: Any) -> bool:
    """Whether we sign this peer's certificates."""
    return bool(row.trust_mode == "hierarchical" and row.spawn_role == "parent")


def _seconds(text: object) -> int | None:
    try:
        return int(datetime.fromisoformat(str(text)).timestamp())
    except ValueError:
        return None
