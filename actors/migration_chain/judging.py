"""Whether a chain can be planned: every problem of its hops at once.

Lives here: the judgement over committed rows. Must not live here: what happens later on the way; each hop is judged again by its holder.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.inventory.registry import REGISTRY
from actors.migration.actor import bearer_of, planned_record
from actors.migration.messages import Plan
from actors.migration.planner import movable, unmovable
from actors.migration_chain.limits import HOPS_MAX
from actors.migration_chain.messages import MakeChain
from actors.migration_chain.record import Place
from actors.peer.lifecycle import REACHABLE
from actors.peer.record import PeerRecord
from actors.peer.standing import peer_of
from actors.problems import Problem, refusal
from runtime.context import Context
from runtime.errors import Fault, OperatorFault


def plan_fault(ctx: Context, message: MakeChain) -> Fault | None:
    """Why this chain cannot be planned, or None."""
    hops = message.hop_peer_ids
    if not hops:
        return OperatorFault("chain_too_short", "a chain needs a destination", 422)
    if len(hops) > HOPS_MAX:
        return OperatorFault("chain_too_long", f"a chain has at most {HOPS_MAX} hops", 422, {"hops": len(hops), "hops_max": HOPS_MAX})
    problems = _hop_problems(ctx, message)
    if problems:
        return refusal(problems)
    header = message.header
    if movable(REGISTRY.kinds[header.root_resource_kind], header.operation) != "alone":
        return unmovable(REGISTRY.kinds[header.root_resource_kind], header.operation)
    first = Plan(
        account_id=message.account_id,
        by=message.by,
        header=header,
        destination_peer_id=hops[0],
        bearer=None,
        dry_run=False,
        acknowledge_residency=message.acknowledge_residency,
    )
    planned = planned_record(ctx, first, ctx.ref.id)
    return planned if isinstance(planned, Fault) else None


def _hop_problems(ctx: Context, message: MakeChain) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[str] = {ctx.settings.identity.instance_id}
    for place, peer_id in enumerate(message.hop_peer_ids):
        field = f"hop_peer_ids[{place}]"
        peer = peer_of(ctx, peer_id)
        if peer is None or peer.account_id != message.account_id or peer.peer_kind != "platform":
            own = peer_id == ctx.settings.identity.instance_id
            twice = Problem(field, "chain_duplicate_hop", "this platform is where the chain begins", 422)
            problems.append(twice if own else Problem(field, "peer_not_found", "there is no such platform peer", 404))
            continue
        name = peer.remote_instance_id or peer.id
        if name in seen:
            problems.append(Problem(field, "chain_duplicate_hop", "no platform comes twice in a chain", 422))
        elif peer.status not in REACHABLE:
            problems.append(Problem(field, "peer_not_ready", f"the peer is {peer.status}; nothing moves to it", 409))
        elif _unheld(ctx, message, peer, place):
            text = "the peer has given us no grant that allows to move this; it needs the scope migrate"
            problems.append(Problem(field, "no_received_grant", text, 409))
        seen.add(name)
    return problems


def _unheld(ctx: Context, message: MakeChain, peer: PeerRecord, place: int) -> bool:
    """Whether the peer is one that we must ask, and has not allowed it: the first destination, and every holder on the way."""
    asked = place == 0 or place < len(message.hop_peer_ids) - 1
    header = message.header
    id = header.root_resource_id
    return asked and bearer_of(ctx, message.account_id, peer.id, header.root_resource_kind, id) is None


def places(ctx: Context) -> Callable[[str | None], Place]:
    """Instance and URL of a peer of ours; of None, our own."""

    def found(peer_id: str | None) -> Place:
        if peer_id is None:
            return str(ctx.settings.identity.instance_id), ctx.settings.identity.url
        peer = peer_of(ctx, peer_id)
        return (peer.remote_instance_id, peer.remote_instance_url) if peer is not None else (None, None)

    return found
