"""Findings: what an operator should look at, each kind registered once with its severity, its words and its way out.

Lives here: the registry and the making of a finding. Must not live here: the scan that notices something, or the storage of findings.

A finding never changes a peer: it informs. It is recognised by its fingerprint, so that the same trouble, seen every few minutes,
stays one finding from the first time to the last.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any, Final

from actors.peer.lifecycle import Severity
from runtime.values import Value, as_dict, evolve


class FindingKind(Value, frozen=True, kw_only=True):
    """One kind of finding.

    Attributes:
        kind: stable snake_case word.
        severity: how much it matters.
        weightier: how much a case of it matters that its raiser calls `weightier`; None if all cases weigh the same.
        title: a few words for a list.
        text: one sentence about the case; its `{fields}` are the facts that a raiser must give.
        remedy: what to do next, naming the command that does it; `{peer_id}` and the facts may stand in it.
        distinguished_by: facts that make two cases of one peer different findings.
    """

    kind: str
    severity: Severity
    title: str
    text: str
    remedy: str
    distinguished_by: tuple[str, ...] = ()
    weightier: Severity | None = None

    @property
    def facts(self) -> frozenset[str]:
        """The names of the facts that a case of this kind consists of."""
        return frozenset(_fields(self.text) | _fields(self.remedy) | set(self.distinguished_by)) - {"peer_id"}


class Finding(Value, frozen=True):
    """One case, as a scan reports it.

    Attributes:
        federation_peer_id: the peer that it concerns; None if it concerns none.
        message: what is the matter, then what to do.
        payload: JSON-ready context for programs; holds no secret.
        fingerprint: equal for the same trouble of the same peer.
    """

    kind: str
    severity: Severity
    federation_peer_id: str | None
    message: str
    payload: Mapping[str, Any]
    fingerprint: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """The form of the operator surface and of warnings."""
        return as_dict(self) | {"payload": dict(self.payload), "title": KINDS[self.kind].title}


def _fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


_REGISTRY: Final = (
    FindingKind(
        kind="trust_anchor_changed_unverified",
        severity="critical",
        title="Unproven change of a CA",
        text="The peer shows the CA {fingerprint}, which the one that we trust has not signed for ({reason}); it is not applied.",
        remedy="Compare the fingerprint with the peer's operators by another way; if it is theirs, "
        "`powernode peers approve-anchor {peer_id} {fingerprint}`, else `powernode peers suspend {peer_id}`.",
        distinguished_by=("fingerprint",),
    ),
    FindingKind(
        kind="peer_behind_our_rotation",
        severity="medium",
        title="Left behind by our rotation",
        text="Since {since} the peer has not taken a certificate of ours under our new root; it follows the rotation late, or cannot.",
        remedy="`powernode trust status` says what brings it further; `powernode peers rotate {peer_id}` tries it now.",
    ),
    FindingKind(
        kind="stale_accepted_without_handshake",
        severity="medium",
        title="Accepted but never enrolled",
        text="The peer has been accepted for {minutes} minutes without a verified exchange: {cause}.",
        remedy="Try `powernode peers probe {peer_id}` and `powernode peers heartbeat {peer_id}`; "
        "`powernode peers trust {peer_id}` shows what has been exchanged.",
    ),
    FindingKind(
        kind="expired_trust_jwt",
        severity="high",
        title="Peering past its end",
        text="The agreed end of this peering was {expired_at}; calls have stopped in both directions.",
        remedy="Set a later end with `powernode peers update {peer_id} --expires-at TIME`, or leave it ended.",
    ),
    FindingKind(
        kind="peer_heartbeat_stale",
        severity="medium",
        title="No heartbeat",
        text="There has been no heartbeat in either direction for {silent_s} seconds.",
        remedy="See whether the peer can be reached with `powernode peers probe {peer_id}`.",
    ),
    FindingKind(
        kind="peer_heartbeat_asymmetric",
        severity="low",
        title="Heartbeats flow one way",
        text="The {direction} heartbeat has been silent for {silent_s} seconds while the other direction works.",
        remedy="Compare the endpoints that each side advertises with `powernode peers show {peer_id}`, "
        "then try `powernode peers heartbeat {peer_id}`.",
        distinguished_by=("direction",),
    ),
    FindingKind(
        kind="peer_degraded_prolonged",
        severity="medium",
        title="Degraded for long",
        text="The peer has been degraded for {hours} hours.",
        remedy="It recovers by itself with the next heartbeat; `powernode peers probe {peer_id}` tells which of its addresses answer. "
        "Ask its operator whether it is expected back; if not soon, `powernode peers suspend {peer_id}` stops the calls and loses nothing.",
    ),
    FindingKind(
        kind="peer_clock_skew",
        severity="low",
        title="Clocks differ",
        text="The peer's clock and ours differ by {skew_s} seconds.",
        remedy="Check the time synchronisation of both hosts; `powernode peers heartbeat {peer_id}` then measures again.",
    ),
    FindingKind(
        kind="peer_cert_expiring",
        severity="medium",
        title="Certificate about to expire",
        text="The {certificate} certificate ends at {not_after}.",
        remedy="`powernode peers trust {peer_id}` shows when each certificate ends and who issued it; "
        "an anchor is renewed by the operators of its platform.",
        distinguished_by=("certificate",),
    ),
    FindingKind(
        kind="peer_cert_expired",
        severity="high",
        title="Certificate expired",
        text="The {certificate} certificate ended at {not_after}; calls that need it fail.",
        remedy="`powernode peers trust {peer_id}` shows what is still valid. If nothing is, make a new invitation with "
        "`powernode peers regenerate {peer_id}` and let the other operator accept it.",
        distinguished_by=("certificate",),
    ),
    FindingKind(
        kind="peer_trust_missing",
        severity="high",
        title="No usable trust",
        text="The peer is {status}, but no call can be authenticated: {cause}.",
        remedy="Make a new invitation with `powernode peers regenerate {peer_id}` and let the other operator accept it.",
    ),
    FindingKind(
        kind="shared_trust_anchor",
        severity="high",
        title="One anchor under two platforms",
        text="The trust anchor {anchor_fingerprint} also stands behind peer {other_peer_id}, which is another instance.",
        remedy="Ask both operators whether they share an authority on purpose; `powernode peers trust {peer_id}` shows the anchors.",
        distinguished_by=("anchor_fingerprint", "other_peer_id"),
    ),
    FindingKind(
        kind="platform_restored_by_hand",
        severity="critical",
        title="This platform may be an earlier copy of itself",
        text="The peer has heard of {heard}, and this is start {boot_epoch}: an earlier copy of the data "
        "runs, or the peer {peer_id} is wrong. No trust is opened and nothing granted is served until that is decided.",
        remedy="`powernode trust show` tells which peers say so; `powernode trust unfreeze` takes your decision. Afterwards restart the "
        "daemon, so that its peers take its word again.",
        distinguished_by=("heard",),
    ),
    FindingKind(
        kind="peer_compromise_disclosed",
        severity="critical",
        title="Compromise disclosed",
        text="The peer's operators disclosed a compromise; we heard of it at {disclosed_at}.",
        remedy="Ask its operator what was exposed. `powernode peers suspend {peer_id}` pauses the peering until that is settled, "
        "`powernode peers revoke {peer_id}` ends it.",
    ),
    FindingKind(
        kind="peer_identity_conflict",
        severity="high",
        title="Two senders under one identity",
        text="Heartbeats of two different runs alternate under this peer's identity (start counters {lower_epoch} and {higher_epoch}).",
        remedy="A copy or a restored backup of the peer is running beside it. Ask its operator to stop one of them; "
        "`powernode peers audit {peer_id}` shows what came under this identity.",
    ),
    FindingKind(
        kind="peer_schema_version_missing",
        severity="low",
        title="Platform version unknown",
        text="The peer is active but has not told its platform version.",
        remedy="Ask its operator which release it runs; `powernode peers show {peer_id}` shows what it told.",
    ),
    FindingKind(
        kind="peer_schema_version_drift",
        severity="medium",
        title="Platform versions do not fit",
        text="Version {local_version} here and {remote_version} there are {compatibility}: {notes}.",
        remedy="Bring both platforms to neighbouring releases; `powernode peers show {peer_id}` shows both versions.",
        distinguished_by=("local_version", "remote_version"),
    ),
    FindingKind(
        kind="peer_capability_drift",
        severity="medium",
        title="Capabilities drift",
        text="What the peer declares and what it does are two things ({aspect}): {cause}.",
        remedy="Ask its operator what it means to offer; `powernode peers show {peer_id}` shows what it declares, "
        "`powernode capabilities list {peer_id}` what flows.",
        distinguished_by=("aspect",),
    ),
    FindingKind(
        kind="peer_residency_missing",
        severity="low",
        title="Data residency unknown",
        text="The peer is active but neither it nor we have said where its data lives.",
        remedy="Record it with `powernode peers update {peer_id} --residency TAG`, or ask its operator to declare it.",
    ),
    FindingKind(
        kind="peer_residency_conflict",
        severity="high",
        title="Data residency in dispute",
        text="Our operators decided that the peer keeps its data in {decided}, and the peer declares {declared}.",
        remedy="Ask its operator which is true, then record it with `powernode peers update {peer_id} --residency TAG`. "
        "Until both agree, moving data to or from this peer counts as crossing a boundary.",
        distinguished_by=("decided", "declared"),
    ),
    FindingKind(
        kind="bridge_without_peer",
        severity="medium",
        title="Bridge to nobody",
        text="The bridge {bridge_id} to the overlay network {sdwan_network_id} is active in its row, but its peering has ended.",
        remedy="It ends by itself soon after the peering; if it stays, `powernode bridges revoke {peer_id} {bridge_id}` ends it.",
        distinguished_by=("bridge_id",),
    ),
    FindingKind(
        kind="hub_consent_without_setting",
        severity="low",
        title="Consent without effect",
        text="Relaying with this peer is permitted, and has no effect while {setting} is off.",
        remedy="Set {setting} and restart the daemon, or take the consent back: `powernode hub withdraw {peer_id}` for a peer behind "
        "this platform, `powernode hub leave {peer_id}` for a hub.",
        distinguished_by=("setting",),
    ),
    FindingKind(
        kind="hub_refuses_connections",
        severity="medium",
        title="Connections not relayed",
        text="Connections to this peer were not relayed lately, {refused} in all; the newest reason is {reason}.",
        remedy="`powernode hub show {peer_id}` counts the reasons. For no_channel and not_fetched look at the peer's daemon; for "
        "peer_refused its operators run `powernode hub use`; for too_many_* raise federation.hub.* or the terms of "
        "`powernode hub permit {peer_id}`.",
        distinguished_by=("reason",),
    ),
    FindingKind(
        kind="hub_away",
        severity="medium",
        title="Hub out of reach",
        text="The hub {url} is out of contact ({status}), so that nobody reaches this platform through it.",
        remedy="`powernode peers probe {peer_id}` says what its addresses answer. If it stays away, use another hub, `powernode hub use`, "
        "and leave this one: `powernode hub leave {peer_id}`.",
    ),
    FindingKind(
        kind="grant_axis_corrupt",
        severity="high",
        title="Corrupt grant",
        text="An axis of grant {grant_id} is stored blank, which nothing of this platform writes. The grant admits nobody.",
        remedy="Find out who changed the database, then `powernode grants revoke {peer_id} {grant_id}` and issue another one.",
        distinguished_by=("grant_id",),
    ),
    FindingKind(
        kind="unrestricted_grant_scope",
        severity="medium",
        weightier="high",
        title="Unrestricted grant",
        text="Grant {grant_id} ({scopes} on {resource_kind}) admits calls from anywhere: no axis restricts it.",
        remedy="`powernode grants narrow {peer_id} {grant_id}` restricts it by instance, network or source address.",
        distinguished_by=("grant_id",),
    ),
    FindingKind(
        kind="audit_seal_failed",
        severity="critical",
        title="Audit shipment failed",
        text="Shipment {number} of the audit chain {chain} is not safely in the archive ({error}, attempt {attempts}).",
        remedy="Look at the archive's folder, owner and space, then run `powernode audit ship`; the entries themselves are still here.",
        distinguished_by=("chain", "number"),
    ),
    FindingKind(
        kind="audit_prune_refused",
        severity="critical",
        title="Archive lacks a shipment",
        text="The archive does not give back shipment {number} of the audit chain {chain} as it was shipped ({error}), so that chain is "
        "not pruned.",
        remedy="Its entries are still here. Mount the archive again, or bring the object back from a copy; then run "
        "`powernode audit prune`, or wait for the daily run.",
        distinguished_by=("chain", "number"),
    ),
    FindingKind(
        kind="clock_in_question",
        severity="medium",
        title="Nothing ends for good",
        text="Since {since} by our clock, what ends for good is held back: {cause}. What has ended is refused all the same.",
        remedy="Look at the time of the host and mend it if it is wrong. If it is right, `powernode clock confirm --reason TEXT` says so; "
        "else the heartbeats of peers whose clocks agree do, or seven days without a word of any.",
    ),
    FindingKind(
        kind="migration_chain_stalled",
        severity="medium",
        title="Chain of migrations stands still",
        text="Hop {hop} of chain {chain_id} has not moved for an hour. It waits for {waits_for}.",
        remedy="`powernode migrations chains show {chain_id}` tells who holds the resource. Ask the holder's operators, "
        "or give up with `powernode migrations chains cancel {chain_id}`.",
        distinguished_by=("chain_id", "hop"),
    ),
    FindingKind(
        kind="migration_chain_unproven",
        severity="high",
        title="Hop of a chain claimed and not proven",
        text="The peer {holder} says that hop {hop} of chain {chain_id} is done, without a receipt of its destination that proves it.",
        remedy="Ask the operators of the destination whether they have the resource; `powernode migrations list --arrived` tells it there. "
        "If they have, `powernode migrations chains retry {chain_id}` asks again; a peer that lies should be suspended.",
        distinguished_by=("chain_id", "hop"),
    ),
    FindingKind(
        kind="migration_chain_failed",
        severity="high",
        title="Chain of migrations failed",
        text="Chain {chain_id} failed at hop {hop}: {refused_by} says {error}. The resource is {whereabouts}.",
        remedy="`powernode migrations chains show {chain_id}` tells more. `powernode migrations chains retry {chain_id}` tries that hop "
        "again, `powernode migrations chains cancel {chain_id}` gives the rest up.",
        distinguished_by=("chain_id", "hop"),
    ),
    FindingKind(
        kind="peer_identity_undisclosed",
        severity="low",
        title="Identity not disclosed",
        text="The peer is active but has not disclosed: {missing}.",
        remedy="The contract asks every platform for this. Ask its operator; `powernode peers show {peer_id}` shows what it told.",
    ),
    FindingKind(
        kind="acceptance_token_expired",
        severity="low",
        title="Token expired unused",
        text="The acceptance token ended at {expired_at} without having been used.",
        remedy="Make a new invitation with `powernode peers regenerate {peer_id}`, or give up with `powernode peers cancel {peer_id}`.",
    ),
    FindingKind(
        kind="peer_grant_revoked",
        severity="medium",
        title="Grant revoked by the peer",
        text="The peer revoked grant {grant_id} ({scopes} on {resource_kind}) and gave no other.",
        remedy="What goes by it is refused. Ask the peer's operators for another, "
        "or let the bearer go with `powernode grants forget {peer_id} {grant_id}`.",
        distinguished_by=("grant_id",),
    ),
    FindingKind(
        kind="managed_child_grant_missing",
        severity="medium",
        title="No operator grant from the child",
        text="The managed child has not given the grant by which its parent operates it, so that only its own people do.",
        remedy="If that is meant, they say so there with `powernode peers emancipate`; "
        "if not, they give it with `powernode peers entrust`.",
    ),
    FindingKind(
        kind="prefix_overlap_with_install",
        severity="critical",
        title="Prefix overlaps ours",
        text="The peer announces {remote_prefix}, which overlaps our own {local_prefix}; its prefix is left out of every overlay.",
        remedy="One side must renumber before any overlay can join them; then `powernode overlay update {peer_id} --prefix CIDR` notes "
        "what the peer has now.",
        distinguished_by=("remote_prefix", "local_prefix"),
    ),
    FindingKind(
        kind="prefix_overlap_with_other_peer",
        severity="high",
        title="Prefix overlaps another peer's",
        text="The peer announces {remote_prefix}, which overlaps {other_prefix} of the earlier peer {other_peer_id}; it is left out.",
        remedy="Settle with both operators which of them renumbers; then `powernode overlay update {peer_id} --prefix CIDR` notes what the "
        "peer has now, or the same with {other_peer_id}.",
        distinguished_by=("remote_prefix", "other_peer_id"),
    ),
)

KINDS: Final[Mapping[str, FindingKind]] = {entry.kind: entry for entry in _REGISTRY}
assert len(KINDS) == len(_REGISTRY), "a kind is registered once"


def make(kind: str, peer_id: str | None, payload: Mapping[str, Any], **facts: str | int) -> Finding:
    """A finding of a registered kind about a peer, or (None) about the platform itself.

    `facts` fill the words of that kind, exactly those that it names. They may come from a remote, so they are put in as text and
    never read as templates.

    Raises:
        KeyError: the kind is not registered.
        ValueError: a fact is missing or unknown.
    """
    entry = KINDS[kind]
    if facts.keys() != entry.facts:
        raise ValueError(f"a finding {kind} consists of {sorted(entry.facts)}, not {sorted(facts)}")
    words = {"peer_id": peer_id, **facts}
    remedy = entry.remedy.format_map(words)
    message = f"{entry.text.format_map(words)} {remedy}"
    fingerprint = ":".join((kind, peer_id or "", *(str(facts[name]) for name in entry.distinguished_by)))
    return Finding(kind, entry.severity, peer_id, message, dict(payload), fingerprint, remedy)


def weightier(finding: Finding) -> Finding:
    """The same case with the weightier severity of its kind; its fingerprint stays."""
    severity = KINDS[finding.kind].weightier
    return finding if severity is None else evolve(finding, severity=severity)
