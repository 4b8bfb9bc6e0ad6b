"""What entitles an accept: the chain of the side that minted the token, found out anew for every accept that crosses a link.

Lives here: rules about redeeming tokens, replays, and what an accept may write. Must not live here: how long tokens live (`tokens`).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from actors.contract.record import VERSIONS
from actors.door.call import Answer
from actors.limits import OBJECT_DEPTH_MAX
from sim.checkers.admission import BUSY, code_of, in_date
from sim.checkers.facts import Facts, ders, fingerprint_of
from sim.checkers.registry import Change, Checker, Commit, Visit, checker
from sim.checkers.tokens import RECEIPT_KEPT_S, digest_of, fresh_receipt

FRESH: Final = "accepted"
REPLAY: Final = "replayed"
INVALID: Final = "acceptance_token_invalid"
BUNDLE_MAX: Final = 8
MIRROR: Final = {"parent": "child", "child": "parent", "symmetric": "symmetric"}
OTHERWISE_REFUSED: Final = BUSY | {
    "malformed_json", "invalid_parameter", "unknown_argument", "body_too_large", "unsupported_media_type",
    "invalid_endpoint", "invalid_capabilities", "invalid_extension_slugs",
}  # fmt: skip
"""Answers that say nothing about whether the caller is entitled: shapes, load."""

FAILED: Final = frozenset({"ca_unavailable", "vault_unavailable", "internal_error"})
"""How a platform may fail somebody who is entitled; whoever is not is refused before anything is needed."""

_SUBJECT: Final = re.compile(r"fed:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def material_of(body: dict[str, Any]) -> str:
    """What ties a repeated accept to the key material of the first."""
    parts = (body.get("csr_pem") or "", body.get("peer_ca_bundle_pem") or "", body.get("caller_inbound_subject") or "")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def verdict(facts: Facts, visit: Visit, wall: float) -> str:
    """What an accept deserves now: `accepted`, `replayed`, or the code of its refusal."""
    body, host = visit.body, visit.host
    if not str(body.get("acceptance_token") or "").strip():
        return "acceptance_token_required"
    digest = digest_of(str(body.get("acceptance_token")))
    version = str(body.get("contract_version") or VERSIONS[-1].version).removeprefix("v")
    known = {str(entry.version): entry.digest for entry in VERSIONS if entry.deprecated_at is None}
    if version not in known:
        return "unsupported_contract_version"
    if body.get("contract_digest") not in (None, known[version]):
        return "contract_digest_mismatch"
    rows = facts.peers[host.name].values()
    spent = next((row for row in rows if row.receipt is not None and row.receipt.token_digest == digest), None)
    if spent is not None:
        same = spent.receipt.handshake_id == body.get("handshake_id") and spent.receipt.material_hash == material_of(body)
        fresh = wall - spent.receipt.at < RECEIPT_KEPT_S and spent.status != "revoked"
        return REPLAY if same and fresh else INVALID
    row = next((row for row in rows if row.acceptance_token_digest == digest), None)
    if row is None or wall >= row.acceptance_token_expires_at or not _open(row, wall):
        return INVALID
    return _identity(host, row, body) or _material(facts, host, body, wall) or _enrolment(body) or FRESH


def _open(row: Any, wall: float) -> bool:
    """Whether a token may open this row: not accepted yet, not proven from the other side, or without trust that is still valid."""
    ends = [row.outbound.not_after if row.outbound is not None else None, row.issued_not_after]
    anchors_ended = bool(row.trusted_anchors) and all(
        min(each.not_after, each.accept_until or each.not_after) <= wall for each in row.trusted_anchors
    )
    # What a root of ours has signed for a child proves nothing once that root has ended.
    ours = row.trust_mode == "hierarchical" and row.spawn_role == "parent" and row.inbound_root is not None
    anchors_ended |= ours and row.inbound_root not in {each.fingerprint for each in row.trusted_anchors}
    gone = any(end is not None and end <= wall for end in ends) or anchors_ended or row.trust_status in ("expired", "broken")
    if row.status in ("accepted", "enrolled"):
        return row.inbound_proven_at is None or row.trust_status != "established" or gone
    return row.status == "proposed" or (row.status in ("active", "degraded") and gone)


def _identity(host: Any, row: Any, body: dict[str, Any]) -> str | None:
    instance = (body.get("instance") or {}).get("id")
    if instance == host.instance_id:
        return "self_peering"
    if instance is not None and row.remote_instance_id not in (None, instance):
        return "peer_identity_conflict"
    role = body.get("spawn_role")
    return "spawn_mismatch" if role is not None and row.spawn_role is not None and role != MIRROR[row.spawn_role] else None


def _material(facts: Facts, host: Any, body: dict[str, Any], wall: float) -> str | None:
    csr, bundle = body.get("csr_pem"), body.get("peer_ca_bundle_pem")
    if csr and bundle:
        return "ambiguous_trust_material"
    if not csr and not bundle:
        return "trust_material_required" if host.federation.accept_without_trust == "refuse" else None
    if _SUBJECT.fullmatch(str(body.get("caller_inbound_subject"))) is None:
        return "inbound_subject_required"
    if (body.get("instance") or {}).get("id") is None:
        return "instance_san_mismatch"
    if csr:
        return None if _sound_request(csr) else "invalid_csr"
    papers = [facts.paper(der) for der in ders(str(bundle))]
    if {paper.fingerprint for paper in papers if paper is not None} & facts.authority_of(host):
        return "anchor_is_ours"
    distinct = {paper.fingerprint for paper in papers if paper is not None and paper.authority and in_date(paper, wall)}
    return None if 0 < len(papers) == len(distinct) <= BUNDLE_MAX else "invalid_ca_bundle"


def _enrolment(body: dict[str, Any]) -> str | None:
    """What the row would hold of the caller: ways with TLS only, capabilities of a bounded depth, and slugs that are single words."""
    endpoints = body.get("endpoints") or ()
    if not all(isinstance(each, dict) and str(each.get("url")).strip().lower().startswith("https://") for each in endpoints):
        return "invalid_endpoint"
    capabilities = body.get("capabilities")
    if capabilities is not None and _depth(capabilities) > OBJECT_DEPTH_MAX:
        return "invalid_capabilities"
    return None if all(len(str(slug).split()) == 1 for slug in body.get("extension_slugs") or ()) else "invalid_extension_slugs"


def _depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(_depth, inside), default=0)


def _sound_request(pem: str) -> bool:
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        return isinstance(request.public_key(), ed25519.Ed25519PublicKey) and request.is_signature_valid
    except (ValueError, TypeError):
        return False


@checker("acceptance", source="docs/protocol.md#post-accept", holds=("P2", "I1", "I13"))
class Acceptance(Checker):
    """An accept is answered with what it deserves, fresh or replayed, and an answer leaves only when what it tells is durable."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._replaced: set[str] = set()

    def on_replaced(self, host: Any) -> None:
        self._replaced.add(host.instance_id)

    def on_call(self, visit: Visit) -> None:
        if visit.route == "accept":
            visit.notes["accept"] = verdict(self.facts, visit, visit.wall)

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        deserved = visit.notes.get("accept")
        if deserved is None:
            return
        code = code_of(answer)
        data = (answer.body or {}).get("data") or {}
        if answer.status == 200:
            code = REPLAY if data.get("replayed") else FRESH
            self._durable(visit, data)
        if code == deserved or code in OTHERWISE_REFUSED or (code in FAILED and deserved in (FRESH, REPLAY)):
            return
        if code != FRESH and code == verdict(self.facts, visit, visit.host.clock.wall()):
            return  # Somebody else was faster, or an operator or the time has changed the row meanwhile.
        if code == "trust_frozen" and visit.host.instance_id in self._replaced:
            return  # Whoever goes on from an earlier copy opens nothing to anybody until an operator has decided.
        if code == "peer_identity_conflict" and self._bound_elsewhere(visit):
            return
        self.complain(visit.host, f"an accept of {visit.source} deserves {deserved} and is answered {code}")

    def _durable(self, visit: Visit, data: dict[str, Any]) -> None:
        row = self.facts.peers[visit.host.name].get(data.get("peer_id", ""))
        receipt = None if row is None else row.receipt
        if receipt is None or receipt.token_digest != digest_of(str(visit.body.get("acceptance_token"))):
            self.complain(visit.host, f"an accept of {visit.source} is acknowledged, but no receipt of it is committed")

    def _bound_elsewhere(self, visit: Visit) -> bool:
        instance = (visit.body.get("instance") or {}).get("id")
        return any(row.remote_instance_id == instance and row.status != "revoked" for row in self.facts.peers[visit.host.name].values())


@checker("redeemed_by_a_call", source="docs/protocol.md#post-accept", holds=("P2", "P10"))
class RedeemedByACall(Checker):
    """A token is spent only by an accept that stands at the door and is entitled to it, and the row then holds what that call said."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._under_way: dict[tuple[str, str], Visit] = {}

    def on_call(self, visit: Visit) -> None:
        if visit.route == "accept":
            # A caller of the former release names no handshake; its token then says which call it was.
            named = visit.body.get("handshake_id") or digest_of(str(visit.body.get("acceptance_token")))
            self._under_way[(visit.host.name, str(named))] = visit

    def on_peer(self, change: Change, commit: Commit) -> None:
        receipt = fresh_receipt(change)
        if receipt is None:
            return
        assert change.after is not None
        host = commit.host.name
        visit = self._under_way.get((host, receipt.handshake_id)) or self._under_way.get((host, receipt.token_digest))
        if visit is None or digest_of(str(visit.body.get("acceptance_token"))) != receipt.token_digest:
            self.complain(commit.host, f"{change.id}: a receipt is committed that belongs to no accept under way")
            return
        if visit.notes.get("accept") != FRESH:
            self.complain(commit.host, f"{change.id}: accepted, though the accept deserved {visit.notes.get('accept')}")
        self._contents(change, commit, visit.body, change.after.record)

    def _contents(self, change: Change, commit: Commit, body: dict[str, Any], row: Any) -> None:
        own = self.facts.root_of(commit.host)
        bundle = {fingerprint_of(der) for der in ders(body.get("peer_ca_bundle_pem") or "")}
        trusted = {anchor.fingerprint for anchor in row.trusted_anchors}
        expected = own if body.get("csr_pem") else bundle
        before = set() if change.before is None else {anchor.fingerprint for anchor in change.before.record.trusted_anchors}
        wrong = [
            what
            for what, sound in (
                ("its anchors", trusted == (expected or before)),
                ("its instance", row.remote_instance_id == ((body.get("instance") or {}).get("id") or row.remote_instance_id)),
                ("the subject it assigned", not expected or f"fed:{row.remote_peer_id}" == body.get("caller_inbound_subject")),
                ("the subject assigned to it", not expected or row.inbound_subject == f"fed:{row.id}"),
                ("the proof of its key", not bundle or row.trust_status == "pending_proof"),
                ("the spent token", row.acceptance_token_digest is None),
                ("the material", row.receipt.material_hash == material_of(body)),
            )
            if not sound
        ]
        if wrong:
            self.complain(commit.host, f"{change.id}: the row after the accept is wrong about {', '.join(wrong)}")


@checker("uniform_refusals", source="docs/protocol.md#retries-and-replay")
class UniformRefusals(Checker):
    """Every token that does not work gets the very same answer: nothing tells an unknown one from a spent or an expired one."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._told: dict[str, Any] = {}

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        if visit.route == "accept" and answer.status == 401:
            told = (answer.status, {key: value for key, value in (answer.body or {}).items() if key != "request_id"})
            if self._told.setdefault(visit.host.name, told) != told:
                self.complain(visit.host, f"a token is refused with {told}, another was with {self._told[visit.host.name]}")
