"""The governance scan: from committed rows to findings.

Lives here: the conditions of every kind of finding that can be seen in the rows of peers. Must not live here: the words (see `findings`),
when a scan runs, or the memory of earlier scans (see `record`).

Everything is pure and reads only. A condition compares exact instants, never rounded ones. A revoked peer has findings as long as
migrations under way may use what is left of its peering; then it is past and has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv6Network
from typing import Any, Final

from actors import residency
from actors.audit_archive.record import PruningRuns, Refused, ShipmentRecord
from actors.bridge.record import BridgeRecord, effective_state
from actors.findings import Finding, make, weightier
from actors.governance import drift
from actors.grant import lifecycle
from actors.grant.record import BROAD_SCOPES, GrantRecord
from actors.hub.record import HubRecord, Relayed, missing_setting
from actors.limits import (
    ASYMMETRIC_HEARTBEAT_S,
    BEHIND_ROTATION_S,
    CLOCK_SKEW_WARNING_S,
    DEGRADED_PROLONGED_S,
    EPOCH_FLIPS_TO_CONFLICT,
    HUB_REFUSALS_TOLD_S,
    IDENTITY_CONFLICT_SHOWN_S,
    NOT_BEFORE_BACKDATE_S,
    STUCK_ACCEPTED_S,
)
from actors.migration_chain.limits import FAILED_SHOWN_S
from actors.migration_chain.record import UNPROVEN, MigrationChainRecord, waits_for
from actors.peer.expiring import bound_certificates
from actors.peer.lifecycle import LIVE
from actors.peer.record import PeerEvidence, PeerRecord, is_past
from actors.peer.steps import is_stale, reachable_identity
from actors.prefixes import parse_prefix
from actors.schema_versions import MatrixRow, negotiate
from actors.settings import Settings
from actors.wall_clock.record import WAITED_EVERY_S, WallClockRecord
from runtime.clock import iso, iso_or_none
from runtime.store.port import Row
from runtime.values import evolve

_IN_TOUCH: Final = frozenset({"enrolled", "active"})
_TRUSTED: Final = LIVE | {"suspended"}
_PREFIX_GROUP_BITS: Final = 48
_DISCLOSED: Final = ("release_tag", "operator_contact", "jurisdiction")


def scan_peer(
    record: PeerRecord, evidence: PeerEvidence | None, settings: Settings, wall: float, matrix: Sequence[MatrixRow] = ()
) -> tuple[Finding, ...]:
    """What one peer's own row shows at `wall` (seconds since the epoch).

    `matrix` holds what operators decided about pairs of platform versions.
    """
    if is_past(record):
        return ()
    return (
        *_prefix(record, settings),
        *_life(record, evidence, settings, wall),
        *_heartbeats(record, evidence, settings, wall),
        *_certificates(record, settings, wall),
        *_disclosure(record, settings, matrix),
        *drift.scan_peer(record, evidence, wall),
    )


def scan(rows: Sequence[Row], settings: Settings, wall: float, matrix: Sequence[MatrixRow] = ()) -> tuple[Finding, ...]:
    """What the rows of one account show, one by one and compared with each other, in the order of the peers' making."""
    alone = [finding for row in rows for finding in scan_peer(row.record, row.evidence, settings, wall, matrix)]
    return (*alone, *scan_across([row.record for row in rows], settings))


def scan_across(records: Sequence[PeerRecord], settings: Settings) -> tuple[Finding, ...]:
    """What only a comparison of peers shows; each case is reported once, on the later peer."""
    in_order = sorted((record for record in records if not is_past(record)), key=lambda record: (record.created_at, record.id))
    return (*_shared_anchors(in_order), *_prefixes_of_peers(in_order))


def scan_bridges(bridges: Sequence[BridgeRecord], peers: Sequence[PeerRecord]) -> tuple[Finding, ...]:
    """Bridges that are active in their rows though their peering has ended; `peers` are those that are not past."""
    known = {peer.id: peer for peer in peers}
    return tuple(
        make("bridge_without_peer", bridge.federation_peer_id, {"account_id": bridge.account_id, **facts}, **facts)
        for bridge in bridges
        if bridge.state == "active" and effective_state(bridge, known.get(bridge.federation_peer_id)) == "revoked"
        for facts in ({"bridge_id": bridge.id, "sdwan_network_id": bridge.sdwan_network_id},)
    )


def scan_hubs(rows: Sequence[Row], peers: Sequence[PeerRecord], settings: Settings, wall: float) -> tuple[Finding, ...]:
    """Consents about relaying that a setting leaves without effect, peers to which connections were not relayed lately, and lost hubs."""
    by_id = {peer.id: peer for peer in peers}
    found = [finding for row in rows for finding in _hub_findings(row.record, row.evidence, settings, wall)]
    away = [_away(row.record, by_id.get(row.record.id)) for row in rows if row.record.relayed == "permitted"]
    return (*found, *(finding for finding in away if finding is not None))


def _away(record: HubRecord, peer: PeerRecord | None) -> Finding | None:
    if peer is None or peer.peering_epoch != record.peering_epoch or peer.status not in ("degraded", "suspended"):
        return None
    facts: dict[str, str] = {"url": peer.remote_instance_url or "", "status": peer.status}
    return make("hub_away", record.id, {"account_id": record.account_id, **facts}, **facts)


def _hub_findings(record: HubRecord, relayed: Relayed | None, settings: Settings, wall: float) -> Iterator[Finding]:
    context: dict[str, Any] = {"account_id": record.account_id}
    setting = missing_setting(record, settings)
    if setting is not None:
        yield make("hub_consent_without_setting", record.id, {**context, "setting": setting}, setting=setting)
    if relayed is None or relayed.last_refused is None or relayed.last_refused_at is None:
        return
    if record.relaying == "permitted" and wall - relayed.last_refused_at < HUB_REFUSALS_TOLD_S:
        facts: dict[str, str | int] = {"reason": relayed.last_refused, "refused": sum(relayed.refused.values())}
        yield make("hub_refuses_connections", record.id, {**context, **facts}, **facts)


def scan_grants(grants: Sequence[GrantRecord], wall: float) -> tuple[Finding, ...]:
    """Grants in force that admit from anywhere, and grants that somebody else has written."""
    return tuple(_grant_finding(each) for each in grants if each.corrupt or (each.unrestricted and lifecycle.state(each, wall) == "active"))


def _grant_finding(grant: GrantRecord) -> Finding:
    context: dict[str, Any] = {"account_id": grant.account_id, "grant_id": grant.id}
    if grant.corrupt:
        return make("grant_axis_corrupt", grant.federation_peer_id, context, grant_id=grant.id)
    broad = not BROAD_SCOPES.isdisjoint(grant.permission_scopes)
    facts = {"grant_id": grant.id, "scopes": ", ".join(grant.permission_scopes), "resource_kind": grant.resource_kind}
    found = make("unrestricted_grant_scope", grant.federation_peer_id, {**context, **facts}, **facts)
    return weightier(found) if broad else found


def scan_shipments(failed: Sequence[ShipmentRecord]) -> tuple[Finding, ...]:
    """Shipments of audit chains that the archive did not take, or did not give back as they were."""
    return tuple(_broken(each, error=each.error or "unknown", attempts=each.attempts) for each in failed)


def scan_pruning(runs: PruningRuns | None) -> tuple[Finding, ...]:
    """Shipments that were to be pruned, and that the archive did not give back as they were shipped."""
    return () if runs is None else tuple(_owed(each, runs.id) for each in runs.refused)


def scan_clock(clock: WallClockRecord | None, account_id: str, boot_epoch: int) -> tuple[Finding, ...]:
    """That what ends for good waits, because the clock of the platform is in question in this start; a start alone is no case."""
    if clock is None:
        return ()
    waiting, settled = clock.waiting, clock.settled
    if waiting is not None and waiting.epoch == boot_epoch and waiting.waited_s >= WAITED_EVERY_S:
        since, cause = waiting.since, "no peer has confirmed the clock since this platform started, or since the clock was set"
    elif waiting is None and settled is not None and settled.epoch == boot_epoch and settled.ahead_s > 0:
        since, cause = settled.at, f"by the clocks of most peers heard it is {int(settled.ahead_s)} seconds earlier"
    else:
        return ()
    facts = {"since": iso(since), "cause": cause}
    ahead_s = int(settled.ahead_s) if settled is not None and waiting is None else 0
    return (make("clock_in_question", None, {"account_id": account_id, **facts, "ahead_s": ahead_s}, **facts),)


def _owed(refused: Refused, account_id: str) -> Finding:
    place: dict[str, str | int] = {"chain": refused.chain, "number": refused.number, "error": refused.error}
    context = {"account_id": account_id, "shipment_id": refused.shipment_id, "chain_kind": refused.chain_kind}
    return make("audit_prune_refused", refused.chain if refused.chain_kind == "peer" else None, {**context, **place}, **place)


def scan_chains(chains: Sequence[MigrationChainRecord], wall: float) -> tuple[Finding, ...]:
    """Chains of migrations that stand still, and those that have failed lately and that nobody has decided about."""
    return tuple(finding for chain in chains if (finding := _chain_finding(chain, wall)) is not None)


def _chain_finding(chain: MigrationChainRecord, wall: float) -> Finding | None:
    context: dict[str, Any] = {"account_id": chain.account_id, "root_resource_id": chain.root_resource_id}
    peer_id = chain.next_peer_id or chain.hop_peer_ids[-1]
    place: dict[str, str | int] = {"chain_id": chain.id, "hop": chain.current_hop_index}
    if chain.status == "in_flight" and chain.stalled:
        return make("migration_chain_stalled", peer_id, {**context, **place}, waits_for=waits_for(chain), **place)
    if chain.status == "failed" and chain.ended_at is not None and wall - chain.ended_at <= FAILED_SHOWN_S:
        home = f"at the peer {chain.holder_peer_id}" if chain.holder_peer_id is not None else "at home"
        refused_by = f"the peer {chain.refused_by_peer_id}" if chain.refused_by_peer_id is not None else "this platform"
        facts = {**place, "error": chain.error or "unknown", "refused_by": refused_by}
        told = home if chain.holder_certain else f"{home}, or one hop further: only its holder knows"
        if chain.error == UNPROVEN:
            return make("migration_chain_unproven", peer_id, {**context, **place}, holder=chain.holder_peer_id or "", **place)
        return make("migration_chain_failed", peer_id, {**context, **facts}, whereabouts=told, **facts)
    return None


def _broken(shipment: ShipmentRecord, **facts: str | int) -> Finding:
    context: dict[str, Any] = {"account_id": shipment.account_id, "shipment_id": shipment.id}
    place: dict[str, str | int] = {"chain": shipment.chain, "number": shipment.number}
    context |= {"chain_kind": shipment.chain_kind, **place}
    return make("audit_seal_failed", shipment.federation_peer_id, {**context, **facts}, **place, **facts)


def _finding(kind: str, record: PeerRecord, **facts: str | int) -> Finding:
    return make(kind, record.id, {**_peer_facts(record), **facts}, **facts)


def with_peers(found: Iterable[Finding], peers: Sequence[PeerRecord]) -> tuple[Finding, ...]:
    """The findings, each with what programs are told of its peer in every finding."""
    by_id = {peer.id: peer for peer in peers}
    return tuple(
        finding if peer is None else evolve(finding, payload={**_peer_facts(peer), **finding.payload})
        for finding in found
        for peer in (by_id.get(finding.federation_peer_id or ""),)
    )


def _peer_facts(record: PeerRecord) -> dict[str, Any]:
    return {
        "account_id": record.account_id,
        "remote_instance_url": record.remote_instance_url,
        "remote_prefix_advertisement": record.remote_prefix_advertisement,
        "status": record.status,
        "signed_at": iso_or_none(record.signed_at),
        "expires_at": iso_or_none(record.expires_at),
    }


# --- the life of the peering ----------------------------------------------------------------------------------------


def _life(record: PeerRecord, evidence: PeerEvidence | None, settings: Settings, wall: float) -> Iterator[Finding]:
    if record.status != "revoked" and record.expires_at is not None and wall >= record.expires_at:
        yield _finding("expired_trust_jwt", record, expired_at=iso(record.expires_at))
    if record.status == "proposed":
        expired_at = _token_expired_at(record, wall)
        if expired_at is not None:
            yield _finding("acceptance_token_expired", record, expired_at=iso(expired_at))
    if record.peer_kind != "platform":
        return
    waited_s = wall - record.status_since
    abandoned = "handshake_abandoned" in record.metadata
    if record.status == "accepted" and (record.signed_at is None or waited_s > STUCK_ACCEPTED_S or abandoned):
        cause = _why_not_enrolled(record, evidence, settings, wall)
        yield _finding("stale_accepted_without_handshake", record, minutes=int(waited_s // 60), cause=cause)
    if record.status in LIVE and record.compromise_disclosed_at is not None:
        yield _finding("peer_compromise_disclosed", record, disclosed_at=iso(record.compromise_disclosed_at))
    gap = _trust_gap(record)
    if record.status in _TRUSTED and gap is not None:
        yield _finding("peer_trust_missing", record, status=record.status, cause=gap)
    # A pause that the remote announced is no fault of anybody's and may last.
    if record.status == "degraded" and waited_s > DEGRADED_PROLONGED_S and record.remote_state != "suspended_us":
        yield _finding("peer_degraded_prolonged", record, hours=int(waited_s // 3600))


def _token_expired_at(record: PeerRecord, wall: float) -> float | None:
    """When the token that nobody used ended; also before the deadline has swept its digest away."""
    if record.acceptance_token_digest is None:
        return record.token_expired_at
    ends = record.acceptance_token_expires_at
    return ends if ends is not None and wall >= ends else None


def _trust_gap(record: PeerRecord) -> str | None:
    """What calls to or from this peer lack for their authentication, or None."""
    if record.trust_mode == "none":
        return "no trust material has been exchanged"
    if record.trust_status in ("broken", "expired"):
        return f"the trust material is {record.trust_status}"
    if record.outbound is None:
        return "we have no outbound identity to present to it"
    if not record.trusted_anchors:
        return "we hold no anchor under which its calls could be verified"
    if record.remote_instance_id is None:
        return "its instance id is not known"
    return None if reachable_identity(record) is not None else "we hold no anchor under which its server could be verified"


def _why_not_enrolled(record: PeerRecord, evidence: PeerEvidence | None, settings: Settings, wall: float) -> str:
    """The one thing that keeps an accepted peer from enrolling, the nearest to us first."""
    if "handshake_abandoned" in record.metadata:
        return f"the remote gave this handshake up ({record.metadata['handshake_abandoned']}); it needs a new invitation"
    gap = _trust_gap(record)
    if gap is not None:
        return gap
    assert record.outbound is not None
    if wall > record.outbound.not_after:
        return f"our certificate for it ended at {iso(record.outbound.not_after)}"
    seen = evidence if evidence is not None else PeerEvidence()
    silent = seen.last_inbound_heartbeat_at is None and record.inbound_proven_at is None
    if seen.last_error is not None:
        return f"our last heartbeat failed with {seen.last_error}" + (", and it has never contacted us" if silent else "")
    missing = _undisclosed(record)
    if settings.federation.require_identity_disclosure and missing and not silent:
        return f"it has not disclosed {', '.join(missing)}, which this platform requires"
    if silent:
        answered = seen.last_outbound_heartbeat_at is not None
        return "it answers us but has never contacted us" if answered else "no heartbeat has been answered, and it has never contacted us"
    return "it has contacted us but has not proven its identity key"


# --- heartbeats -----------------------------------------------------------------------------------------------------


def _heartbeats(record: PeerRecord, evidence: PeerEvidence | None, settings: Settings, wall: float) -> Iterator[Finding]:
    if record.peer_kind != "platform" or record.status not in LIVE:
        return
    # Silence that the remote has announced is no alarm.
    paused = record.remote_state == "suspended_us"
    if record.status in _IN_TOUCH and not paused and is_stale(record, evidence, wall, settings.federation.stale_after_s):
        last = evidence.last_heartbeat_at if evidence is not None else None
        yield _finding("peer_heartbeat_stale", record, silent_s=int(wall - _known(last, record)))
    if evidence is None:
        return
    if record.status in _IN_TOUCH and not paused:
        yield from _one_way(record, evidence, wall)
    heard = _heard_of_us(evidence, settings.identity.boot_epoch)
    if heard is not None:
        yield _finding("platform_restored_by_hand", record, heard=heard, boot_epoch=settings.identity.boot_epoch)
    if evidence.clock_skew_s is not None and abs(evidence.clock_skew_s) > CLOCK_SKEW_WARNING_S:
        yield _finding("peer_clock_skew", record, skew_s=int(evidence.clock_skew_s))
    lately = evidence.flipped_at is not None and abs(wall - evidence.flipped_at) <= IDENTITY_CONFLICT_SHOWN_S
    if lately and evidence.epoch_flips >= EPOCH_FLIPS_TO_CONFLICT:
        yield _finding("peer_identity_conflict", record, lower_epoch=evidence.lower_boot_epoch, higher_epoch=evidence.remote_boot_epoch)


def _heard_of_us(evidence: PeerEvidence, boot_epoch: int) -> str | None:
    """What the peer has heard of this platform that this copy of its data does not know."""
    if evidence.echoed_epoch > boot_epoch:
        return f"start {evidence.echoed_epoch} of this platform"
    if evidence.knows_more is None:
        return None
    return f"another start {boot_epoch} of this platform" if evidence.knows_more == "start" else "events that these data do not hold"


def _known(instant: float | None, record: PeerRecord) -> float:
    """`instant`, or since when there could have been one."""
    if instant is not None:
        return instant
    return record.last_handshake_at if record.last_handshake_at is not None else record.status_since


def _one_way(record: PeerRecord, evidence: PeerEvidence, wall: float) -> Iterator[Finding]:
    """One direction silent while the other works. Who advertises nothing that can be reached only dials out: that is no fault.

    Silence from before contact began anew says nothing: one of the two was away, and the first heartbeats come one by one.
    """
    ways = {"inbound": evidence.last_inbound_heartbeat_at, "outbound": evidence.last_outbound_heartbeat_at}
    for direction, other in (("inbound", "outbound"), ("outbound", "inbound")):
        works = ways[other]
        silent_s = wall - max(_known(ways[direction], record), evidence.contact_since or 0.0)
        if works is None or wall - works > ASYMMETRIC_HEARTBEAT_S or silent_s <= ASYMMETRIC_HEARTBEAT_S:
            continue
        if direction == "outbound" and not _may_be_reachable(record, evidence):
            continue
        yield _finding("peer_heartbeat_asymmetric", record, direction=direction, silent_s=int(silent_s))


def _may_be_reachable(record: PeerRecord, evidence: PeerEvidence) -> bool:
    probed = {endpoint.url: endpoint.status for endpoint in (*record.endpoints, *evidence.endpoints)}
    advertised = {endpoint.url for endpoint in record.endpoints}
    if record.remote_instance_url is not None:
        advertised.add(record.remote_instance_url)
    return any(probed.get(url) != "unreachable" for url in advertised)


# --- certificates ---------------------------------------------------------------------------------------------------


def _certificates(record: PeerRecord, settings: Settings, wall: float) -> Iterator[Finding]:
    unproven = record.unproven_anchor
    if unproven is not None:
        yield _finding("trust_anchor_changed_unverified", record, fingerprint=unproven.fingerprint, reason=unproven.reason)
    following = record.outbound_next
    if following is not None and record.status in LIVE and wall - following.not_before > BEHIND_ROTATION_S + NOT_BEFORE_BACKDATE_S:
        yield _finding("peer_behind_our_rotation", record, since=iso(following.not_before + NOT_BEFORE_BACKDATE_S))
    for name, not_after in bound_certificates(record):
        if wall > not_after:
            yield _finding("peer_cert_expired", record, certificate=name, not_after=iso(not_after))
        elif not_after - wall <= settings.federation.cert_warn_s:
            yield _finding("peer_cert_expiring", record, certificate=name, not_after=iso(not_after))


# --- what the peer tells --------------------------------------------------------------------------------------------


def _disclosure(record: PeerRecord, settings: Settings, matrix: Sequence[MatrixRow]) -> Iterator[Finding]:
    if record.peer_kind != "platform":
        return
    if record.platform_version and record.status in LIVE:
        result = negotiate(settings.platform_version, record.platform_version, matrix)
        if result.status != "compatible":
            yield _finding(
                "peer_schema_version_drift",
                record,
                local_version=settings.platform_version,
                remote_version=record.platform_version,
                compatibility=result.status,
                notes=result.notes or "no reason was noted",
            )
    if record.status != "active":
        return
    if not record.platform_version:
        yield _finding("peer_schema_version_missing", record)
    if residency.conflicts(record):
        decided, declared = record.data_residency or "", record.declared_residency or ""
        yield _finding("peer_residency_conflict", record, decided=decided, declared=declared)
    if residency.remote_tag(record) is None:
        yield _finding("peer_residency_missing", record)
    missing = _undisclosed(record)
    if missing:
        yield _finding("peer_identity_undisclosed", record, missing=", ".join(missing))


def _undisclosed(record: PeerRecord) -> list[str]:
    return [name for name in _DISCLOSED if not getattr(record, name)]


# --- prefixes and anchors -------------------------------------------------------------------------------------------


def _network(text: str | None) -> IPv6Network | None:
    try:
        return None if text is None else parse_prefix(text)
    except ValueError:
        return None


def _prefix(record: PeerRecord, settings: Settings) -> Iterator[Finding]:
    ours, theirs = _network(settings.federation.prefix), _network(record.remote_prefix_advertisement)
    if ours is not None and theirs is not None and ours.overlaps(theirs):
        yield _finding("prefix_overlap_with_install", record, remote_prefix=str(theirs), local_prefix=str(ours))


def _prefixes_of_peers(in_order: Sequence[PeerRecord]) -> Iterator[Finding]:
    """Overlaps among live peers, each reported against the earliest peer that it overlaps."""
    # No mask is shorter than that of a group, so whatever overlaps shares its group.
    groups: dict[int, list[tuple[IPv6Network, PeerRecord]]] = {}
    for record in in_order:
        network = _network(record.remote_prefix_advertisement) if record.status in LIVE else None
        if network is None:
            continue
        earlier = groups.setdefault(int(network.network_address) >> (128 - _PREFIX_GROUP_BITS), [])
        clash = next(((other, holder) for other, holder in earlier if other.overlaps(network)), None)
        if clash is not None:
            yield _finding(
                "prefix_overlap_with_other_peer",
                record,
                remote_prefix=str(network),
                other_prefix=str(clash[0]),
                other_peer_id=clash[1].id,
            )
        if all(other != network for other, _ in earlier):
            # An equal network later on would only be found behind the one that is here already.
            earlier.append((network, record))


def _shared_anchors(in_order: Sequence[PeerRecord]) -> Iterator[Finding]:
    """One anchor under two remote instances. Our own roots rightly stand behind every child that we certified."""
    first: dict[str, PeerRecord] = {}
    for record in in_order:
        if record.trust_mode == "hierarchical" and record.spawn_role == "parent":
            continue
        for fingerprint in dict.fromkeys(anchor.fingerprint for anchor in record.trusted_anchors):
            earlier = first.setdefault(fingerprint, record)
            if _instance(earlier) != _instance(record):
                yield _finding("shared_trust_anchor", record, anchor_fingerprint=fingerprint, other_peer_id=earlier.id)


def _instance(record: PeerRecord) -> str | None:
    return record.remote_instance_id or record.remote_instance_url
