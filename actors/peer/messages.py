"""What may be said to a peer actor, and what it answers.

Lives here: frozen messages. Operators' messages were validated by the door; remotes' were parsed there, and are checked again by the
actor against its record. Must not live here: behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import msgspec

from actors.idempotency.record import Mark
from actors.peer.endpoints import Endpoint
from actors.peer.peer_events import PeerEvent
from actors.peer.record import PeerEvidence, PeerRecord, RevocationPhase
from actors.peer.roles import Pairing
from actors.schema_versions import MatrixRow
from runtime.actor import CallResult
from runtime.clock import iso
from runtime.context import Context
from runtime.secret import Secret
from runtime.values import Value

# --- From operators -------------------------------------------------------------------------------------------------


class Propose(Value, frozen=True, kw_only=True):
    """Register a remote and mint a token. Answer: `Minted`, or a fault (`peer_exists`).

    `pairing` None makes a peer that shares overlay networks and nothing else (`sdwan_only`).
    """

    account_id: str
    by: str | None
    url: str
    pairing: Pairing | None
    token_ttl_s: int
    endpoints: tuple[Endpoint, ...] = ()
    ca_fingerprint: str | None = None
    prefix: str | None = None
    remote_account_id: str | None = None
    metadata: Mapping[str, Any] = msgspec.field(default_factory=dict)
    mark: Mark | None = None


class AcceptOverlay(Value, frozen=True):
    """Accept a peer that only shares overlay networks, with the token of its own row; nobody is called. Answer: `Shown`, or a fault."""

    by: str | None
    token: Secret
    mark: Mark | None = None


class Regenerate(Value, frozen=True):
    """Replace the open token. Answer: `Minted`, or a fault (`token_not_applicable`)."""

    by: str | None
    token_ttl_s: int
    mark: Mark | None = None


class Minted(Value, frozen=True):
    """A freshly minted token; the only place where its plaintext appears. `ca_fingerprint` is the root that it pins."""

    record: PeerRecord
    token: Secret
    invitation: Secret
    ca_fingerprint: str


class Cancel(Value, frozen=True):
    """End a peering that was never accepted. Answer: `Shown`."""

    by: str | None
    reason: str | None = None


class Suspend(Value, frozen=True):
    """Pause the peering. Answer: `Shown`, or a fault (`peer_suspended`, `invalid_transition`)."""

    by: str | None
    reason: str | None = None
    mark: Mark | None = None


class ResumePeering(Value, frozen=True):
    """End the pause. Answer: `Shown`, or a fault (`invalid_transition`, `peering_expired`)."""

    by: str | None
    reason: str | None = None
    mark: Mark | None = None


class Revoke(Value, frozen=True):
    """End the peering for good. Answer: `Shown`, or a fault (`already_revoked`).

    `immediate`: no last word to the remote and no grace for what is under way, as after a compromise. A peering that has ended with a grace
    loses what is left of it, and is refused only once that is over.
    """

    by: str | None
    reason: str | None = None
    immediate: bool = False
    mark: Mark | None = None


class Emancipate(Value, frozen=True):
    """We are a managed child and stand on our own from now on. Answer: `Shown`, or a fault (`not_managed_child`)."""

    by: str | None
    reason: str | None = None
    mark: Mark | None = None


class Update(Value, frozen=True):
    """Change editable fields; `changes` maps field names to validated values. Answer: `Shown`, or a fault."""

    by: str | None
    changes: Mapping[str, Any]
    expected_version: int | None = None


class AcceptRemote(Value, frozen=True, kw_only=True):
    """Accept at the remote with the token that it minted. Answer: `Accepted`, or a fault.

    Attributes:
        ca_fingerprint: pin to set on the row first (from an invitation), or None.
        via: hubs through which the remote says that it is reached (from an invitation).
        deadline_s: how long the operator waits.
    """

    by: str | None
    token: Secret
    contract_version: int | None = None
    ca_fingerprint: str | None = None
    via: tuple[str, ...] = ()
    deadline_s: float = 45.0
    mark: Mark | None = None


class Accepted(Value, frozen=True):
    """The accept went through on both sides; soft steps that failed are in `warnings`."""

    record: PeerRecord
    evidence: PeerEvidence | None
    warnings: tuple[str, ...] = ()


class Shown(Value, frozen=True):
    """The record as committed."""

    record: PeerRecord
    evidence: PeerEvidence | None


class ExcerptsRead(Value, frozen=True):
    """The remote looks at its part of our audit trail, in this window (seconds since the epoch). Answers True, or a fault."""

    since: float
    until: float


class AskExcerpts(Value, frozen=True):
    """Ask the remote for our part of its audit trail. Answers JSON-ready data, or a fault."""

    by: str | None
    since: float
    until: float
    limit: int
    cursor: int


class ExcerptsAnswered(CallResult, frozen=True):
    """The remote's answer to `AskExcerpts`; the tag is who asked."""


class RenewNow(Value, frozen=True):
    """Renew our client certificate for this peer now, however long it lasts. Answer: `Shown`, or a fault (`renewal_not_applicable`)."""

    by: str | None
    mark: Mark | None = None


class Certify(Value, frozen=True):
    """A child that has proven itself asks for its next certificate. Answer: JSON, or a fault (`certificate_not_applicable`).

    `issuer` is the root of ours (fingerprint) that the child holds and wants; the present one signs if it is none of ours now.
    """

    csr_pem: str
    issuer: str | None = None


class ProbeNow(Value, frozen=True):
    """Look for a reachable endpoint. Answer: JSON-ready dict, or a fault."""

    by: str | None


class HeartbeatNow(Value, frozen=True):
    """Send a heartbeat now. Answer: JSON-ready dict with its outcome, or a fault."""

    by: str | None


# --- From remotes ---------------------------------------------------------------------------------------------------


class RemoteInstance(Value, frozen=True, kw_only=True):
    """What the caller of accept says of itself; hostile until the certificate proves `id`."""

    id: str | None = None
    url: str | None = None
    account_id: str | None = None
    platform_version: str | None = None
    release_tag: str | None = None
    operator_contact: str | None = None
    jurisdiction: str | None = None
    data_residency: str | None = None
    server_identity: str | None = None
    server_ca_pem: str | None = None


class GrantTakenBack(Value, frozen=True):
    """Our operators may have revoked the grant that we gave our parent, so that we stand on our own. No answer."""

    by: str | None = None
    reason: str | None = None


class OfferedGrant(Value, frozen=True, kw_only=True):
    """The grant by which a managed child lets its parent operate it, as the child's accept brings it.

    Attributes:
        scopes: those that are known here.
        expires_at: seconds since the epoch, by the child's clock.
    """

    grant_id: str
    bearer: Secret
    scopes: tuple[str, ...]
    expires_at: float


@attrs.frozen(kw_only=True)
class Redeem:
    """A remote presents the token that we minted. Answer: the JSON of the accept response, or a fault.

    `token_digest` is of the whole token; the plaintext goes no further than the door.
    """

    token_digest: str
    contract_version: int
    handshake_id: str
    capabilities: Mapping[str, Any] = attrs.field(factory=dict)
    extension_slugs: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    csr_pem: str | None = attrs.field(default=None, repr=False)
    peer_ca_bundle_pem: str | None = attrs.field(default=None, repr=False)
    caller_inbound_subject: str | None = None
    contract_digest: str | None = None
    spawn_role: str | None = None
    spawn_mode: str | None = None
    instance: RemoteInstance = attrs.field(factory=RemoteInstance)
    operator_grant: OfferedGrant | None = None


class Beat(Value, kw_only=True, frozen=True):
    """An authenticated inbound heartbeat. A field that is None was absent and changes nothing. Answer: JSON-ready dict, or a fault.

    Attributes:
        acknowledged_epoch, acknowledged_sequence: the start of ours that the sender has heard of last, and the number of our heartbeat
            that it has heard last; 0 if it says nothing.
        acknowledged_mark, acknowledged_history: what that start has called itself, and the highest that any start before it has told of
            our history; 0 likewise.
        over_channel: it came over a channel, where its arrival alone does not show that anything of ours arrives.
        refused: why the rest of the body cannot be stored, as a fault; the sender is alive all the same.
        matrix: what the account's operators decided about pairs of versions.
    """

    boot_epoch: int = 0
    sequence: int = 0
    start_mark: int = 0
    history: int = 0
    sent_at: float | None = None
    peer_state: str = "ok"
    capabilities: Mapping[str, Any] | None = None
    endpoints: tuple[Endpoint, ...] | None = None
    sync_cursor: Mapping[str, Any] | None = None
    extension_slugs: tuple[str, ...] | None = None
    platform_version: str | None = None
    data_residency: str | None = None
    contract_version: int | None = None
    contract_digest: str | None = None
    release_tag: str | None = None
    operator_contact: str | None = None
    jurisdiction: str | None = None
    anchor_fingerprint: str | None = None
    acknowledged_epoch: int = 0
    acknowledged_sequence: int = 0
    acknowledged_mark: int = 0
    acknowledged_history: int = 0
    over_channel: bool = False
    refused: Any = None
    matrix: tuple[MatrixRow, ...] = ()


class ProvenInbound(Value, frozen=True):
    """The remote made a mutually authenticated call that is not a heartbeat. No answer."""


class HearEvent(Value, frozen=True):
    """The remote tells of something. Answer: JSON-ready dict, or a fault."""

    event: PeerEvent


# --- To the owners of dependent rows ---------------------------------------------------------------------------------


class PeeringEnded(Value, frozen=True, kw_only=True):
    """The peering under which a row was made has ended (see `dependants`). No answer; may come more than once.

    Attributes:
        peering_epoch: the epoch that has ended; a row of another one is not meant.
        phase: `draining` from the revocation on, `complete` once nothing under way may use it any more.
        ended_at: when the peering was revoked, in seconds since the epoch.
    """

    peer_id: str
    peering_epoch: int
    phase: RevocationPhase
    reason: str
    ended_at: float


class Tell(Value, frozen=True, kw_only=True):
    """Something that concerns the remote has changed here: tell it soon, as a peer event, best effort. No answer.

    Attributes:
        subject: what it is about; later news of one subject takes the place of earlier news that has not been told.
        body: of the call. One that is meant for many is one object for all, so that it is written as JSON once.
        ends: something given has ended. Such news goes before all other, and many of one kind in one call (see `together`).
    """

    subject: str
    body: Mapping[str, Any]
    ends: bool = False


def news(ctx: Context, kind: str, subject: str, payload: Mapping[str, Any], *, ends: bool = False) -> Tell:
    """What to tell a peer, or many peers, of a change that happens in this turn."""
    body = {"event_id": ctx.new_id(), "kind": kind, "effective_at": iso(ctx.wall), "payload": payload}
    return Tell(subject=f"{kind} {subject}", body=body, ends=ends)


def together(first: Tell, others: Sequence[Tell]) -> Mapping[str, Any]:
    """The body of the call that tells of all of these: that of the first, with the payloads of the others as `more` in its own."""
    if not others:
        return first.body
    return {**first.body, "payload": {**first.body["payload"], "more": [told.body["payload"] for told in others]}}


# --- To itself ------------------------------------------------------------------------------------------------------


class HeartbeatTick(Value, frozen=True):
    """Time for the periodic heartbeat."""


class TellAgain(Value, frozen=True):
    """The time for which the remote wanted to hear no more news is over."""


class ChannelTick(Value, frozen=True):
    """Time for the next attempt to have a channel."""


class ChannelAnswered(CallResult, frozen=True):
    """A channel is in use, or could not be had."""


class EmancipationTold(CallResult, frozen=True):
    """Our parent was told that we stand on our own, or was not; the tag is the id of the notice."""


class NewsTold(CallResult, frozen=True):
    """The remote was told of a change, or was not; the tag is what it was told."""


class ChannelOpened(Value, frozen=True):
    """A channel is in use from now on. No answer. `ours`: we dialled it."""

    ours: bool


class ChannelEnded(Value, frozen=True):
    """There is no channel any more; the last one was in use for `lasted_s` seconds. No answer."""

    lasted_s: float


class EarlyHeartbeat(Value, frozen=True):
    """A repeated first heartbeat, `attempt` counted from 1."""

    attempt: int


class SweepNow(Value, frozen=True):
    """Degrade the peer if it is active and its evidence too old, without another try to reach it. Answer: whether it was."""


class LivenessTick(Value, frozen=True):
    """Time to look at the age of the evidence."""


class RetryAccept(Value, frozen=True):
    """Time for the next attempt of our accept call."""

    attempt: int


class AcceptDeadline(Value, frozen=True):
    """The operator's deadline has passed."""


class RivalRedeem(Value, frozen=True):
    """A redeem that waited while another one was under way; handled afresh."""

    message: Redeem
    address: Any


class TokenSealed(CallResult, frozen=True):
    """The remote's token is sealed."""


class RequestMade(CallResult, frozen=True):
    """Key and signing request for a hierarchical accept exist."""


class OperatorBearerSealed(CallResult, frozen=True):
    """The vault has sealed the bearer that goes to our parent with the accept."""


class OperatorGrantSealed(CallResult, frozen=True):
    """The vault has sealed the bearer that our child has brought."""


class AcceptAnswered(CallResult, frozen=True):
    """The remote answered our accept call, or did not."""


class CallerIdentityIssued(CallResult, frozen=True):
    """Our client certificate for this peer exists (calling side)."""


class MinterIdentityIssued(CallResult, frozen=True):
    """Our client certificate for this peer exists (minting side)."""


class CertificateSigned(CallResult, frozen=True):
    """The remote's signing request is signed."""


class AnswerSealed(CallResult, frozen=True):
    """The accept answer is sealed for its receipt."""


class ReceiptOpened(CallResult, frozen=True):
    """The sealed answer of a former accept is open again."""


class HeartbeatAnswered(CallResult, frozen=True):
    """An outbound heartbeat was answered, or failed."""


class PauseTold(CallResult, frozen=True):
    """The last heartbeat before a pause was answered, or failed; nothing hangs on it."""


class LastWordAnswered(CallResult, frozen=True):
    """The remote answered the notice that the peering has ended, or did not; the tag is its event id."""


class AbandonIdentityIssued(CallResult, frozen=True):
    """A client certificate exists for the one notice that we abandon a handshake."""


class AbandonTold(CallResult, frozen=True):
    """The remote answered that notice, or did not; the tag is its event id."""


class RemediationAnswered(CallResult, frozen=True):
    """The remote answered the liveness probe, or did not."""


class Probed(CallResult, frozen=True):
    """An operator's probe has ended."""


class IdentityRenewed(CallResult, frozen=True):
    """Our next client certificate for this peer exists; the tag is the serial of the present one."""


class RenewalRequestMade(CallResult, frozen=True):
    """Our signing request for the next certificate exists; the tag is the serial of the present one."""


class RenewalAnswered(CallResult, frozen=True):
    """Our parent has certified our next key, or has not; the tag is the serial of the present certificate and the new key."""


class ChildCertified(CallResult, frozen=True):
    """Our CA has signed a child's next certificate; the tag is the root that signed, and who waits for it."""


class ApproveAnchor(Value, frozen=True):
    """An operator vouches for a CA that the remote could not prove. Answer: `Shown`, or `nothing_to_approve`, `fingerprint_mismatch`."""

    by: str | None
    fingerprint: str
    mark: Mark | None = None


class AnchorUsed(Value, frozen=True):
    """A call of the remote was verified under this anchor: the next one, or one of ours under which a child had not called. No answer."""

    fingerprint: str


class ReadBundle(Value, frozen=True):
    """The remote reads our bundle while we rotate. Answer: JSON."""


class BundleSigned(CallResult, frozen=True):
    """Our present root has signed the statement about the next; the tag is the answer so far, that next root, and who waits."""


class LookAtRoots(Value, frozen=True):
    """Our own root has changed, or is about to. No answer; a row looks by itself, too."""


class NoticeTold(CallResult, frozen=True):
    """The remote has heard of the end of our former root, or has not; the tag is the fingerprint of the present one."""


class RotateNow(Value, frozen=True):
    """Take the next step of whichever rotation concerns this peer at once. Answer: `Shown`, or a fault (`nothing_to_rotate`,
    `anchor_unproven`)."""

    by: str | None
    mark: Mark | None = None


class BundleAnswered(CallResult, frozen=True):
    """The remote's bundle; the tag is the approval that it serves, or None."""


class NextIdentityIssued(CallResult, frozen=True):
    """Our identity under the next root exists; the tag is the fingerprint of that root."""


class NextTried(CallResult, frozen=True):
    """A call under our next identity; the tag is its serial."""
