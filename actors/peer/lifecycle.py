"""The life of a peer: its statuses, what each of them admits, and every transition there is.

Rules of this module:

* `STATUSES` and `TRANSITIONS` are the truth. The operator surface, the diagram in the documentation, the simulator's checkers and
  the property tests all read them; nothing else decides whether a status may change.
* A transition that is not a row of the table does not exist.
* Everything here is pure. No record, no clock, no message, no effect may live here; the guards that need a record (is the token
  valid, is the trust established) belong to the actor, which asks this table only after they hold.
* A row names the one thing that happened (`Trigger`), never who asked for it or why.

Passing two rows in one transaction is allowed and makes two audit entries: the first heartbeat of an accepted peer enrols and
then activates it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from runtime.values import Value

PeerKind = Literal["platform", "sdwan_only"]
Status = Literal["proposed", "accepted", "enrolled", "active", "degraded", "suspended", "revoked"]
Severity = Literal["low", "medium", "high", "critical"]

Trigger = Literal[
    "registered",  # an operator proposes a peering, or a child is spawned
    "token_redeemed",  # the acceptance token was valid: here, or at the remote that we called
    "trust_established",  # the remote proved that it holds its identity key, or proved it before a suspension that now ends
    "heartbeat_succeeded",  # a heartbeat was acknowledged in either direction
    "contact_lost",  # the last two-way evidence is too old
    "remote_suspended_us",  # the remote says that it has suspended us
    "operator_suspended",
    "operator_resumed",
    "operator_revoked",
    "remote_revoked_us",  # the remote ended the peering
]

Inbound = Literal["accept", "heartbeat", "last_word", "audit_excerpts", "exchange"]
"""Families of calls from a remote.

`accept`: the token exchange. `heartbeat`: heartbeats and what keeps trust alive (trust bundle, certificate, peer events).
`last_word`: the notice that the remote has ended the peering, which it may give in a pause, too.
`audit_excerpts`: excerpts of the audit chain. `exchange`: everything else (resources, catalog, subscriptions, migrations).
"""

Outbound = Literal["accept", "heartbeat", "probe", "revocation_notice", "exchange"]
"""Families of calls to a remote. `probe` looks for a reachable endpoint; the others as their names say."""

AnchorUse = Literal["none", "admit", "verify_only"]
"""What the peer's trust anchors are good for: nothing, letting its calls in, or only telling that a refused caller is really the peer."""

_PLATFORM: Final[frozenset[PeerKind]] = frozenset({"platform"})
_ANY_KIND: Final[frozenset[PeerKind]] = frozenset({"platform", "sdwan_only"})
_NO_KIND: Final[frozenset[PeerKind]] = frozenset()
_EVERY_INBOUND: Final[frozenset[Inbound]] = frozenset({"heartbeat", "last_word", "exchange"})


class StatusRule(Value, frozen=True, kw_only=True):
    """What one status means and admits.

    Attributes:
        meaning: one clause for people.
        kinds: the kinds of peer that may have this status.
        inbound: families of calls that are served. A re-handshake by token while trust is not yet established counts as `accept`.
        inbound_refusal: code of the answer to a verified caller whose call is not served.
        inbound_refusal_status: HTTP status of that answer.
        outbound: families of calls that may leave.
        outbound_refusal: code with which any other outbound call fails, before a byte is sent.
        contributes_prefix: kinds of peer whose announced prefix counts in overlays.
        anchors: what the peer's trust anchors are good for.
        severity: severity of the event that tells of entering this status.
    """

    meaning: str
    kinds: frozenset[PeerKind]
    inbound: frozenset[Inbound]
    inbound_refusal: str = "peer_not_admitted"
    inbound_refusal_status: int = 401
    outbound: frozenset[Outbound]
    outbound_refusal: str = "peer_not_ready"
    contributes_prefix: frozenset[PeerKind]
    anchors: AnchorUse
    severity: Severity


STATUSES: Final[Mapping[Status, StatusRule]] = {
    "proposed": StatusRule(
        meaning="registered here; the remote has not been contacted",
        kinds=_ANY_KIND,
        inbound=frozenset({"accept"}),
        outbound=frozenset({"accept", "probe"}),
        contributes_prefix=_NO_KIND,
        anchors="none",
        severity="low",
    ),
    "accepted": StatusRule(
        meaning="the token made its round trip; the remote's key is not yet proven",
        kinds=_ANY_KIND,
        inbound=frozenset({"accept", "heartbeat", "last_word"}),
        outbound=frozenset({"heartbeat", "probe"}),
        contributes_prefix=frozenset({"sdwan_only"}),
        anchors="admit",
        severity="low",
    ),
    "enrolled": StatusRule(
        meaning="the remote proved that it holds its identity key",
        kinds=_PLATFORM,
        inbound=_EVERY_INBOUND | {"accept"},
        outbound=frozenset({"heartbeat", "probe", "exchange"}),
        contributes_prefix=_ANY_KIND,
        anchors="admit",
        severity="low",
    ),
    "active": StatusRule(
        meaning="heartbeats flow",
        kinds=_PLATFORM,
        inbound=_EVERY_INBOUND | {"accept", "audit_excerpts"},
        outbound=frozenset({"heartbeat", "probe", "exchange"}),
        contributes_prefix=_ANY_KIND,
        anchors="admit",
        severity="low",
    ),
    "degraded": StatusRule(
        meaning="was active, contact is lost; recovers by itself with the next heartbeat",
        kinds=_PLATFORM,
        inbound=_EVERY_INBOUND | {"accept"},
        outbound=frozenset({"heartbeat", "probe"}),
        outbound_refusal="peer_degraded",
        contributes_prefix=_ANY_KIND,
        anchors="admit",
        severity="medium",
    ),
    "suspended": StatusRule(
        meaning="paused by an operator",
        kinds=_ANY_KIND,
        inbound=frozenset({"last_word"}),
        inbound_refusal="peer_suspended",
        inbound_refusal_status=403,
        outbound=frozenset(),
        outbound_refusal="peer_suspended",
        contributes_prefix=_NO_KIND,
        anchors="verify_only",
        severity="medium",
    ),
    "revoked": StatusRule(
        meaning="ended for good; peering again means a new peer",
        kinds=_ANY_KIND,
        inbound=frozenset(),
        inbound_refusal="peer_revoked",
        inbound_refusal_status=403,
        outbound=frozenset({"revocation_notice"}),
        outbound_refusal="already_revoked",
        contributes_prefix=_NO_KIND,
        anchors="verify_only",
        severity="high",
    ),
}

REACHABLE: Final[frozenset[Status]] = frozenset({"enrolled", "active", "degraded"})
"""Statuses in which the remote has proven itself, so that ordinary calls make sense."""

LIVE: Final[frozenset[Status]] = REACHABLE | {"accepted"}
"""Statuses of a peering in force: anchors admit, heartbeats are sent, bridges may be active."""


class Transition(Value, frozen=True):
    """One row of the table. `source` is None for the row that makes the peer.

    Attributes:
        kinds: the kinds of peer that may take this row.
        note: what must hold and what it means, for the documentation.
    """

    source: Status | None
    target: Status
    trigger: Trigger
    kinds: frozenset[PeerKind]
    note: str

    @property
    def event(self) -> str:
        """Name of the event that tells of this transition."""
        return f"federation.peer.{self.target}"

    @property
    def severity(self) -> Severity:
        """Severity of that event."""
        return STATUSES[self.target].severity


# A remote's notice comes over the control plane, which only platform peers have: hence no row for `sdwan_only` where a remote acts.
TRANSITIONS: Final[tuple[Transition, ...]] = (
    Transition(None, "proposed", "registered", _ANY_KIND, "An acceptance token is minted and shown once; nothing is sent."),
    Transition("proposed", "accepted", "token_redeemed", _ANY_KIND, "The token is burnt and the contract recorded in the same write."),
    Transition("proposed", "revoked", "operator_revoked", _ANY_KIND, "The open token dies."),
    Transition("accepted", "enrolled", "trust_established", _PLATFORM, "The first mutually authenticated exchange, or a signed request."),
    Transition("accepted", "suspended", "operator_suspended", _ANY_KIND, "Calls stop in both directions; nothing is lost."),
    Transition("accepted", "revoked", "operator_revoked", _ANY_KIND, "Access ends with the commit; the remote is told."),
    Transition("accepted", "revoked", "remote_revoked_us", _PLATFORM, "The remote ended the peering; no notice goes back."),
    Transition("enrolled", "active", "heartbeat_succeeded", _PLATFORM, "Evidence that both directions of the peering work."),
    Transition("enrolled", "suspended", "operator_suspended", _PLATFORM, "Calls stop in both directions; nothing is lost."),
    Transition("enrolled", "revoked", "operator_revoked", _PLATFORM, "Access ends with the commit; the remote is told."),
    Transition("enrolled", "revoked", "remote_revoked_us", _PLATFORM, "The remote ended the peering; no notice goes back."),
    Transition("active", "degraded", "contact_lost", _PLATFORM, "No two-way evidence for longer than the configured time."),
    Transition("active", "degraded", "remote_suspended_us", _PLATFORM, "A pause announced by the remote, not a fault."),
    Transition("active", "suspended", "operator_suspended", _PLATFORM, "Calls stop in both directions; nothing is lost."),
    Transition("active", "revoked", "operator_revoked", _PLATFORM, "Access ends with the commit; the remote is told."),
    Transition("active", "revoked", "remote_revoked_us", _PLATFORM, "The remote ended the peering; no notice goes back."),
    Transition("degraded", "active", "heartbeat_succeeded", _PLATFORM, "Recovery needs no operator."),
    Transition("degraded", "suspended", "operator_suspended", _PLATFORM, "Calls stop in both directions; nothing is lost."),
    Transition("degraded", "revoked", "operator_revoked", _PLATFORM, "Access ends with the commit; the remote is told."),
    Transition("degraded", "revoked", "remote_revoked_us", _PLATFORM, "The remote ended the peering; no notice goes back."),
    Transition("suspended", "accepted", "operator_resumed", _ANY_KIND, "Not past its expiry; intact trust enrols again at once."),
    Transition("suspended", "revoked", "operator_revoked", _ANY_KIND, "Access was closed already; the remote is told."),
    Transition("suspended", "revoked", "remote_revoked_us", _PLATFORM, "The remote ended the peering; no notice goes back."),
)

OPERATOR_TRIGGERS: Final[frozenset[Trigger]] = frozenset({"token_redeemed", "operator_suspended", "operator_resumed", "operator_revoked"})
"""What an operator may bring about; everything else happens by evidence or by the remote."""

_BY_STEP: Final[Mapping[tuple[Status | None, Trigger, PeerKind], Status]] = {
    (row.source, row.trigger, kind): row.target for row in TRANSITIONS for kind in row.kinds
}
assert len(_BY_STEP) == sum(len(row.kinds) for row in TRANSITIONS), "one trigger leads to one target"
assert all(row.kinds <= STATUSES[row.target].kinds for row in TRANSITIONS)
assert all(row.source is None or row.kinds <= STATUSES[row.source].kinds for row in TRANSITIONS)


def transition(status: Status | None, trigger: Trigger, peer_kind: PeerKind) -> Status | None:
    """The status that `trigger` leads to from `status`, or None if there is no such transition. `status` None: no peer yet."""
    return _BY_STEP.get((status, trigger, peer_kind))


def allowed_targets(status: Status, peer_kind: PeerKind) -> tuple[Status, ...]:
    """The statuses into which an operator may bring a peer from here, in the order of the life of a peer."""
    targets = {row.target for row in TRANSITIONS if row.source == status and peer_kind in row.kinds and row.trigger in OPERATOR_TRIGGERS}
    return tuple(candidate for candidate in STATUSES if candidate in targets)


class Refusal(Value, frozen=True):
    """Why a status does not let a call pass: a stable code and the HTTP status of the answer."""

    code: str
    status: int


def inbound_refusal(status: Status, family: Inbound) -> Refusal | None:
    """Why a verified peer's call of that family is not served in this status, or None if it is."""
    rule = STATUSES[status]
    return None if family in rule.inbound else Refusal(rule.inbound_refusal, rule.inbound_refusal_status)


def outbound_refusal(status: Status, family: Outbound, *, forced: bool = False) -> Refusal | None:
    """Why a call of that family must not leave in this status, or None if it may.

    `forced` lets an operator try an exchange with a degraded peer; it opens nothing else.
    """
    rule = STATUSES[status]
    if family in rule.outbound or (forced and status == "degraded" and family == "exchange"):
        return None
    return Refusal(rule.outbound_refusal, 409)


def diagram() -> str:
    """The table as a mermaid state diagram. Triggers that share source and target share an arrow."""
    arrows: dict[tuple[Status | None, Status], list[str]] = {}
    for row in TRANSITIONS:
        arrows.setdefault((row.source, row.target), []).append(row.trigger)
    lines = ["stateDiagram-v2"]
    for (source, target), triggers in arrows.items():
        lines.append(f"    {source or '[*]'} --> {target}: {' / '.join(triggers)}")
    entered_and_final = [status for status in STATUSES if not any(row.source == status for row in TRANSITIONS)]
    lines.extend(f"    {status} --> [*]" for status in entered_and_final)
    return "\n".join(lines) + "\n"
