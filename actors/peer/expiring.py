"""The certificates that a peering rests on, and the alarm when one of them ends.

Lives here: which certificates these are, and the event that calls for operators. Must not live here: their renewal (`renewal`), changes of
anchors (`anchors`), and the standing findings about them (`actors.governance`).
"""

from __future__ import annotations

from collections.abc import Iterator

from actors import certificates
from actors.peer.record import PeerEvidence, PeerRecord
from actors.peer.steps import note
from runtime.actor import Actor
from runtime.clock import iso
from runtime.context import Context
from runtime.values import evolve

OUTBOUND = "outbound"


class Expiring(Actor):
    """The alarm about certificates that end."""

    def tell_of_ending(self, ctx: Context, record: PeerRecord, *, renewing: bool) -> None:
        """Call for operators once for each certificate that is about to end, and once more when it has ended.

        Args:
            renewing: a renewal of our own certificate is under way: whether it needs anybody is not known yet.
        """
        evidence = self.evidence or PeerEvidence()
        told: list[str] = []
        for name, not_after in bound_certificates(record):
            if not_after - ctx.wall > ctx.settings.federation.cert_warn_s:
                continue
            reason = "cert_expired" if ctx.wall > not_after else "cert_expiring"
            case = f"{reason} {name} {iso(not_after)}"
            if case not in evidence.rotation_told:
                if name == OUTBOUND and renewing:
                    continue
                severity = "high" if reason == "cert_expired" else "medium"
                note(ctx, record, "cert_rotation_required", severity, reason=reason, certificate=name, not_after=iso(not_after),
                     remote_instance_url=record.remote_instance_url, requires_operator_action=True)  # fmt: skip
            told.append(case)
        if tuple(told) != evidence.rotation_told:
            ctx.set_evidence(evolve(evidence, rotation_told=tuple(told)))

    def nothing_ends_soon(self, ctx: Context, record: PeerRecord) -> bool:
        """Whether there is nothing to tell, and nothing was told that could be taken back."""
        evidence: PeerEvidence | None = self.evidence
        if evidence is not None and evidence.rotation_told:
            return False
        wall, warn_s = ctx.wall, ctx.settings.federation.cert_warn_s
        return all(not_after - wall > warn_s for _, not_after in bound_certificates(record))


def bound_certificates(record: PeerRecord) -> Iterator[tuple[str, float]]:
    """Every certificate that this peering rests on, with its end. A retiring anchor is meant to end."""
    if record.outbound is not None:
        yield OUTBOUND, record.outbound.not_after
    if record.issued_not_after is not None:
        yield "issued", record.issued_not_after
    for anchor in record.trusted_anchors:
        if anchor.state != "retiring":
            yield f"anchor {anchor.fingerprint}", anchor.not_after
    if record.server_anchor_pem is not None:
        anchors = certificates.load_anchors((record.server_anchor_pem,))
        for server_anchor in () if isinstance(anchors, str) else anchors:
            yield f"server anchor {server_anchor.fingerprint}", server_anchor.not_after
