"""Why a call was refused, and the smallest change that would let it pass; by the chain's own verdicts.

Lives here: edits as values, what each does to a call, and the set of them that a refused call needs. Must not live here: judgement; every
claim made here can be checked by giving the changed call to the chain.

Each refused step depends on facts that no other step reads, so one edit for each refused step is enough and none of them can be left out.
Where the caller holds no grant in force, one edit stands for all steps that need one: a new grant made to measure.

No edit names what its command would refuse: a network that the account does not hold must be added first, and a grant that must cover a
resource that it does not hold covers the whole kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from actors.grant.axes import ANY, AXES, AxisName, host_network
from actors.grant.chain import Ask, PeerFacts, StepName, Verdict, decide, holds
from actors.grant.lifecycle import state
from actors.grant.record import GrantRecord
from actors.grant.tokens import Bearer
from runtime.values import Value, evolve

EditName = Literal[
    "resume_admission", "issue_grant", "present_bearer", "widen_kind", "widen_resource", "add_scope", "send_subject", "widen_axis",
    "activate_bridge", "allow_public_calls", "add_network",
]  # fmt: skip

EXPLAINED_MAX: Final = 256
"""Refused candidates among which the smallest change is sought."""

PLACEHOLDER: Final = "00000000-0000-7000-8000-00000000f00d"


class Edit(Value, frozen=True):
    """One change. `who` must make it; `facts` say exactly what, JSON-ready."""

    name: EditName
    who: Literal["issuer", "caller"]
    facts: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Explanation(Value, frozen=True):
    """The verdict of a call, and the edits that together would let it pass; none if it passes."""

    verdict: Verdict
    edits: tuple[Edit, ...]


def explain(ask: Ask) -> Explanation:
    """Judge a call, and find the smallest change that would let it pass."""
    verdict = decide(ask)
    if verdict.allowed:
        return Explanation(verdict, ())
    refused = [outcome.step for outcome in verdict.outcomes if outcome.refusal is not None]
    edits: list[Edit] = []
    if "admission" in refused:
        edits.append(Edit("resume_admission", "issuer", {"code": ask.admission.code if ask.admission is not None else None}))
    edits += _about_the_grant(ask, refused)
    if "bridge" in refused:
        through = {"network_id": ask.network_id}
        edits.append(Edit("activate_bridge", "issuer", through) if ask.network_id is not None else Edit("allow_public_calls", "issuer"))
    if not ask.network_known and any(_names_network(edit, ask) for edit in edits):
        edits.insert(0, Edit("add_network", "issuer", {"network_id": ask.network_id}))
    return Explanation(verdict, tuple(edits))


def _names_network(edit: Edit, ask: Ask) -> bool:
    """Whether whoever makes this edit must name the network of the call."""
    if edit.name == "activate_bridge":
        return True
    if edit.name == "issue_grant":
        return ask.network_id in edit.facts["sdwan_network_ids"]
    return edit.name == "widen_axis" and edit.facts["axis"] == "sdwan_network_ids" and edit.facts["add"] == ask.network_id


def nearest(ask: Ask, candidates: Sequence[GrantRecord]) -> tuple[Explanation, Ask]:
    """The explanation of a hypothetical call, which may be made with the bearer of any of the candidates, and the call that it is about.

    Whether one of them serves the call is asked of all; the smallest change is sought among the first `EXPLAINED_MAX`.
    """
    asks = [held(ask, grant) for grant in candidates] or [ask]
    served = next((each for each in asks if decide(each).allowed), None)
    if served is not None:
        return explain(served), served
    return min(((explain(each), each) for each in asks[:EXPLAINED_MAX]), key=lambda pair: len(pair[0].edits))


def of_past(ask: Ask, candidates: Sequence[GrantRecord]) -> Explanation:
    """The explanation of a call that was made. Where it showed nothing in force, a grant that the caller could have shown goes before a new
    one, unless it would have to be changed, too: a new one is made to measure.

    Args:
        candidates: grants that could cover the call; the first `EXPLAINED_MAX` that were there then are looked at.
    """
    found = explain(ask)
    if all(edit.name != "issue_grant" for edit in found.edits):
        return found
    there = [grant for grant in candidates if grant.issued_at <= ask.wall][:EXPLAINED_MAX]
    tried = (explain(evolve(ask, grant=grant)) for grant in there)
    return min((each for each in tried if len(each.edits) <= len(found.edits)), key=_measure, default=found)


def _measure(found: Explanation) -> tuple[int, bool]:
    return len(found.edits), any(edit.name == "issue_grant" for edit in found.edits)


def _about_the_grant(ask: Ask, refused: list[StepName]) -> list[Edit]:
    grant = ask.grant
    mine = grant is not None and ask.peer is not None and grant.federation_peer_id == ask.peer.id
    usable = mine and grant is not None and ask.peer is not None and usable_now(grant, ask.peer, ask.wall)
    if not usable or grant is None:
        return [Edit("issue_grant", "issuer", _made_to_measure(ask))]
    edits: list[Edit] = []
    if not holds(ask):
        edits.append(Edit("present_bearer", "caller", {"grant_id": grant.id}))
        refused = [outcome.step for outcome in decide(held(ask, grant)).outcomes if outcome.refusal is not None]
    for step in refused:
        edit = _of_step(step, ask)
        if edit is not None:
            edits.append(edit)
    return edits


def _of_step(step: StepName, ask: Ask) -> Edit | None:
    if step == "kind":
        return Edit("widen_kind", "issuer", {"resource_kind": ask.kind})
    if step == "resource":
        return Edit("widen_resource", "issuer", {"resource_id": _coverable(ask)})
    if step == "scope":
        return Edit("add_scope", "issuer", {"scope": ask.scope})
    if step == "subject":
        assert ask.grant is not None
        return Edit("send_subject", "caller", {"subject": ask.grant.remote_subject})
    axis = {"instance": AXES[0], "network": AXES[1], "source": AXES[2]}.get(step)
    return None if axis is None else Edit("widen_axis", "issuer", {"axis": axis, "add": _value(ask, axis)})


def _value(ask: Ask, axis: AxisName) -> str:
    """What the axis must hold for this call: its own value, or any where the call has none."""
    if axis == "node_instance_ids":
        return ask.instance_id or "*"
    if axis == "sdwan_network_ids":
        return ask.network_id or "*"
    return (host_network(ask.source_address) if ask.source_address is not None else None) or "*"


def _made_to_measure(ask: Ask) -> dict[str, Any]:
    axes: dict[str, Any] = {axis: [_value(ask, axis)] for axis in AXES}
    # A call that names no subject is covered by a grant for any, and no grant is for none.
    subject = {} if ask.subject is None else {"subject": ask.subject}
    return {"resource_kind": ask.kind, "resource_id": _coverable(ask), "permission_scopes": [ask.scope], **subject, **axes}


def _coverable(ask: Ask) -> str | None:
    """The resource that a grant for this call can be for: what the account does not hold is covered by all of the kind only."""
    return ask.resource_id if ask.resource_known else None


def usable_now(grant: GrantRecord, peer: PeerFacts, wall: float) -> bool:
    """Whether the grant is in force for this peering; what is over cannot be changed, only replaced."""
    return state(grant, wall) == "active" and grant.peering_epoch == peer.epoch


def held(ask: Ask, grant: GrantRecord) -> Ask:
    """The same call with the bearer of `grant` presented."""
    return evolve(ask, bearer=Bearer(grant.id, grant.token_digest), grant=grant)


def apply(ask: Ask, edits: tuple[Edit, ...]) -> Ask:
    """The call as it would be judged after these edits."""
    for edit in edits:
        ask = _applied(ask, edit)
    return ask


def _applied(ask: Ask, edit: Edit) -> Ask:
    facts, grant = edit.facts, ask.grant
    if edit.name == "add_network":
        return evolve(ask, network_known=True)
    if not ask.network_known and _names_network(edit, ask):
        return ask
    if edit.name == "resume_admission":
        return evolve(ask, admission=None, peer=ask.peer or PeerFacts(PLACEHOLDER))
    if edit.name == "activate_bridge":
        return evolve(ask, bridge_active=True)
    if edit.name == "allow_public_calls":
        return ask if ask.peer is None else evolve(ask, peer=evolve(ask.peer, overlay_only=False))
    if edit.name == "issue_grant":
        return _with_new_grant(ask, facts)
    assert grant is not None
    if edit.name == "present_bearer":
        return held(ask, grant)
    if edit.name == "send_subject":
        return evolve(ask, subject=facts["subject"])
    if edit.name == "widen_kind":
        grant = evolve(grant, resource_kind=facts["resource_kind"])
    elif edit.name == "widen_resource":
        grant = evolve(grant, resource_id=facts["resource_id"])
    elif edit.name == "add_scope":
        grant = evolve(grant, permission_scopes=(*grant.permission_scopes, facts["scope"]))
    else:
        stored = grant.axis(facts["axis"])
        added = ANY if facts["add"] == "*" else (*(entry for entry in stored if entry.strip() and entry != "*"), facts["add"])
        widened: dict[str, Any] = {facts["axis"]: added}
        grant = evolve(grant, **widened)
    return evolve(ask, grant=grant)


def _with_new_grant(ask: Ask, facts: Mapping[str, Any]) -> Ask:
    if ask.peer is None:
        return ask
    grant = GrantRecord(
        id=PLACEHOLDER,
        account_id=PLACEHOLDER,
        federation_peer_id=ask.peer.id,
        peering_epoch=ask.peer.epoch,
        remote_subject=facts.get("subject", "any"),
        resource_kind=facts["resource_kind"] or "any",
        resource_id=facts["resource_id"],
        permission_scopes=tuple(facts["permission_scopes"]),
        issued_at=ask.wall,
        expires_at=ask.wall + 1.0,
        bare_token=True,
        updated_at=ask.wall,
        node_instance_ids=tuple(facts["node_instance_ids"]),
        sdwan_network_ids=tuple(facts["sdwan_network_ids"]),
        source_cidrs=tuple(facts["source_cidrs"]),
    )
    return held(ask, grant)
