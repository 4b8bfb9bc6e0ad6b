"""The authorisation chain of the federation API: one pure function, which enforces and explains.

Lives here: the steps of a grant-gated call, each with the code of its refusal, in the order in which they are reported. Must not live here:
where the facts of a call come from (the door), or what would have to change (see `explain`).

Every step that can be judged is judged, also behind a failed one, so that an explanation needs no second implementation. A step that
needs a grant is not judged against a grant that the caller has not proven to hold: it is told as not reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from actors.grant import lifecycle, tokens
from actors.grant.axes import AxisName, holds_address, holds_id
from actors.grant.record import GrantRecord
from actors.grant.tokens import Bearer
from runtime.errors import Fault, RemoteFault
from runtime.values import Value

StepName = Literal[
    "admission", "bearer_present", "bearer_valid", "in_force", "kind", "resource", "scope", "subject", "instance", "network", "bridge",
    "source",
]  # fmt: skip
Malformed = Literal["malformed"]


class PeerFacts(Value, frozen=True):
    """What the chain must know of the caller, who has proven to be this peer.

    Attributes:
        epoch: of the peering; grants of an earlier one are over.
        overlay_only: calls must come through an overlay network.
    """

    id: str
    epoch: int = 0
    overlay_only: bool = False


class UnderWay(Value, frozen=True, gc=False):
    """What a call goes on with: work that was begun under the grant at `begun_at`, seconds since the epoch.

    Attributes:
        ends_only: the call can only end that work, and reaches nothing else.
    """

    begun_at: float
    ends_only: bool


class Ask(Value, frozen=True, gc=False):
    """One call as the chain judges it; every value is proven by the connection or found in our own rows.

    Thousands are kept (see `actors.door.grants.decisions`), and none can be part of a cycle, so the collector need not look at them.

    Attributes:
        wall: our wall clock, seconds since the epoch.
        admission: why the call was refused before the chain (certificate, status, schema), or None.
        bearer: what was presented; None for nothing.
        grant: the row that the bearer names, whoever it belongs to; None if there is none.
        kind: canonical kind that is asked for; None on routes that range over all kinds.
        resource_id: the one resource that is asked for; None for a list.
        scope: what the route needs.
        subject: the `X-Federation-Subject` sent, if any.
        instance_id, network_id, source_address: the call context.
        bridge_active: whether there is an active bridge of this peer on that network.
        under_way: what the call goes on with; None for a call that begins something.
        network_known, resource_known: whether the account holds what `network_id` and `resource_id` name. No step asks; who explains does.
    """

    wall: float
    peer: PeerFacts | None
    bearer: Bearer | Malformed | None
    grant: GrantRecord | None
    scope: str
    kind: str | None = None
    resource_id: str | None = None
    subject: str | None = None
    instance_id: str | None = None
    network_id: str | None = None
    source_address: str | None = None
    bridge_active: bool = False
    admission: Fault | None = None
    under_way: UnderWay | None = None
    network_known: bool = True
    resource_known: bool = True


class Outcome(Value, frozen=True):
    """What one step said: passed, not reached, or the refusal.

    Attributes:
        number: of the step in the documented order.
    """

    number: int
    step: StepName
    reached: bool
    refusal: Fault | None = None

    @property
    def passed(self) -> bool:
        """Whether the call gets past this step."""
        return self.reached and self.refusal is None


class Verdict(Value, frozen=True):
    """Every step in order, and the one refusal that the caller hears."""

    outcomes: tuple[Outcome, ...]
    refusal: Fault | None

    @property
    def allowed(self) -> bool:
        """Whether the call is served."""
        return self.refusal is None


TOKEN_REQUIRED: Final = RemoteFault("grant_token_required", "send the bearer of a grant as `Authorization: Bearer fg-…`", 401)
TOKEN_INVALID: Final = RemoteFault("grant_token_invalid", "this bearer is not good for this peer", 401)
EXPIRED: Final = RemoteFault("grant_expired", "this grant has expired; ask the operator who issued it for a new one", 401)
REVOKED: Final = RemoteFault("grant_revoked", "this grant has ended", 401)
KIND_MISMATCH: Final = RemoteFault("grant_kind_mismatch", "this grant is for resources of another kind", 403)
RESOURCE_MISMATCH: Final = RemoteFault("grant_resource_mismatch", "this grant is for another resource", 403)
OVERLAY_REQUIRED: Final = RemoteFault("overlay_required", "this peer is served through an overlay network only", 403)


def _admission(ask: Ask) -> Fault | None:
    return ask.admission


def _bearer_present(ask: Ask) -> Fault | None:
    return TOKEN_REQUIRED if ask.bearer is None else None


def _bearer_valid(ask: Ask) -> Fault | None:
    return None if holds(ask) else TOKEN_INVALID


def _in_force(ask: Ask) -> Fault | None:
    grant, peer = ask.grant, ask.peer
    assert grant is not None
    assert peer is not None
    found, going_on = lifecycle.state(grant, ask.wall), ask.under_way
    if grant.peering_epoch != peer.epoch:
        return REVOKED
    if going_on is not None and lifecycle.may_go_on(grant, going_on.begun_at, ask.wall, ends_only=going_on.ends_only):
        return None
    if found in ("revoked", "archived"):
        return REVOKED
    return EXPIRED if found == "expired" else None


def _kind(ask: Ask) -> Fault | None:
    assert ask.grant is not None
    return None if ask.kind is None or ask.kind == ask.grant.resource_kind else KIND_MISMATCH


def _resource(ask: Ask) -> Fault | None:
    # A list under a grant for one resource is served: it holds at most that resource.
    assert ask.grant is not None
    granted = ask.grant.resource_id
    return None if granted is None or ask.resource_id is None or ask.resource_id == granted else RESOURCE_MISMATCH


def _scope(ask: Ask) -> Fault | None:
    assert ask.grant is not None
    if ask.scope in ask.grant.permission_scopes:
        return None
    return RemoteFault("grant_scope_missing", f"this call needs the scope {ask.scope}", 403, {"scope": ask.scope})


def _subject(ask: Ask) -> Fault | None:
    assert ask.grant is not None
    if ask.subject is None or ask.subject == ask.grant.remote_subject:
        return None
    return RemoteFault("grant_subject_mismatch", "this grant is for another subject", 403)


def _instance(ask: Ask) -> Fault | None:
    assert ask.grant is not None
    return None if holds_id(ask.grant.node_instance_ids, ask.instance_id) else _axis("node_instance_ids", ask.instance_id)


def _network(ask: Ask) -> Fault | None:
    assert ask.grant is not None
    return None if holds_id(ask.grant.sdwan_network_ids, ask.network_id) else _axis("sdwan_network_ids", ask.network_id)


def _bridge(ask: Ask) -> Fault | None:
    if ask.network_id is None:
        return OVERLAY_REQUIRED if ask.peer is not None and ask.peer.overlay_only else None
    if ask.bridge_active:
        return None
    return RemoteFault("bridge_inactive", "there is no active bridge on this network", 403, {"supplied": ask.network_id})


def _source(ask: Ask) -> Fault | None:
    assert ask.grant is not None
    return None if holds_address(ask.grant.source_cidrs, ask.source_address) else _axis("source_cidrs", ask.source_address)


def _axis(name: AxisName, supplied: str | None) -> Fault:
    # The caller's own value and nothing of the allowlist.
    return RemoteFault("axis_denied", "this grant does not cover where the call comes from", 403, {"axis": name, "supplied": supplied})


class Step(Value, frozen=True):
    """One check: its documented number, and whether it can be judged without a grant that the caller holds."""

    number: int
    name: StepName
    check: Callable[[Ask], Fault | None]
    needs_grant: bool = True


STEPS: Final[tuple[Step, ...]] = (
    Step(3, "admission", _admission, needs_grant=False),
    Step(4, "bearer_present", _bearer_present, needs_grant=False),
    Step(5, "bearer_valid", _bearer_valid, needs_grant=False),
    Step(6, "in_force", _in_force),
    Step(7, "kind", _kind),
    Step(8, "resource", _resource),
    Step(9, "scope", _scope),
    Step(10, "subject", _subject),
    Step(11, "instance", _instance),
    Step(12, "network", _network),
    Step(13, "bridge", _bridge, needs_grant=False),
    Step(14, "source", _source),
)

_PASSED: Final = {step.name: Outcome(step.number, step.name, True) for step in STEPS}
_NOT_REACHED: Final = {step.name: Outcome(step.number, step.name, False) for step in STEPS}


def holds(ask: Ask) -> bool:
    """Whether the caller has proven to hold the grant: it is this peer's, and the secret is its own."""
    bearer, grant, peer = ask.bearer, ask.grant, ask.peer
    if not isinstance(bearer, Bearer) or grant is None or peer is None:
        return False
    fits = tokens.same(bearer.digest, grant.token_digest) if grant.bare_token or grant.token_digest is not None else False
    former = grant.previous_token_digest
    if not fits and former is not None and grant.previous_token_until is not None and ask.wall < grant.previous_token_until:
        fits = bearer.digest is not None and tokens.same(bearer.digest, former)
    if not fits and ask.under_way is not None:
        # Who has changed the bearer since has not changed to whom the grant was given, and nothing but an end is reached.
        fits = ask.under_way.ends_only
    return fits and bearer.grant_id == grant.id and grant.federation_peer_id == peer.id


_ALLOWED: Final = Verdict(tuple(_PASSED.values()), None)


def decide(ask: Ask) -> Verdict:
    """Judge a call: every step with its verdict, and the first refusal in their order."""
    held = holds(ask)
    if held:
        for step in STEPS:
            if step.check(ask) is not None:
                break
        else:
            return _ALLOWED
    return _refused(ask, held)


def _refused(ask: Ask, held: bool) -> Verdict:
    """The verdict on a call that is not served: what each step says, as far as it can be judged."""
    outcomes: list[Outcome] = []
    first: Fault | None = None
    for step in STEPS:
        if step.needs_grant and not held:
            outcomes.append(_NOT_REACHED[step.name])
            continue
        refusal = step.check(ask)
        if refusal is None:
            outcomes.append(_PASSED[step.name])
            continue
        outcomes.append(Outcome(step.number, step.name, True, refusal))
        first = first or refusal
    return Verdict(tuple(outcomes), first)
