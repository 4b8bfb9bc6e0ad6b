"""`attack_accept`: somebody redeems a token that was handed over, with a request that has one flaw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from actors.limits import OBJECT_DEPTH_MAX
from runtime.ids import uuid7
from sim import attacks
from sim.attacks import Shown
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage
    from sim.world import Host

FLAWS: Final = (
    "guessed_token", "other_contract", "other_contract_text", "as_the_issuer", "as_another_peer", "other_role", "both_materials",
    "no_subject", "no_instance", "broken_request", "broken_bundle", "anchor_of_the_issuer", "leaf_as_anchor", "no_material",
    "no_token", "bad_endpoint", "bad_capabilities", "bad_slug", "no_flaw",
)  # fmt: skip


@action("attack_accept", answered=True, fault=True)
@attrs.frozen(kw_only=True)
class AttackAccept:
    """Somebody who has a token redeems it straight at the platform that minted it, as a handshake of his own, with one flaw."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform minted the token"))
    by: str = attrs.field(metadata=key(PLATFORM, "to whose operator it was handed, and whose CA and instance are told"))
    flaw: str = attrs.field(metadata=key(one_of(*FLAWS), "what is wrong with the request"))
    other: str | None = attrs.field(default=None, metadata=key(PLATFORM, "whose instance is told where the flaw is that of another peer"))
    token: str = attrs.field(default="latest", metadata=key(one_of("latest", "first"), "which of the tokens handed over so far"))

    def perform(self, stage: Stage, name: str | None) -> None:
        target, caller = stage.host(self.on), stage.host(self.by)
        if self.flaw == "leaf_as_anchor" and not caller.server_chain:
            raise StageError(f"the listener of {self.by} has no certificate")
        if self.flaw == "no_flaw":
            # Whoever holds a good token may lie about the row that waits for the certificate; the two sides then do not fit together.
            stage.watch.facts.lied(target, caller)
        body = request_of(stage, caller, stage.handed(self.on, self.by, self.token).token)
        body.update(self._flawed(stage, target, caller, body))
        body["instance"] = {"id": body.pop("instance_id"), "url": caller.url}
        sent = {key: value for key, value in body.items() if value is not None}
        stage.strange(name, self.on, "POST", "accept", attacks.send(target, "accept", sent, Shown(), caller))

    def _flawed(self, stage: Stage, target: Host, caller: Host, body: dict[str, Any]) -> dict[str, Any]:
        other = stage.host(self.other) if self.other is not None else caller
        subject = f"fed:{uuid7(caller.clock.wall(), stage.world.chance.stream('attacks'))}"
        broken = attacks.stolen_request(stage.world)
        flaws: dict[str, dict[str, Any]] = {
            "guessed_token": {"acceptance_token": "A" * 43},
            "other_contract": {"contract_version": 2},
            "other_contract_text": {"contract_digest": "0" * 64},
            "as_the_issuer": {"instance_id": target.instance_id},
            "as_another_peer": {"instance_id": other.instance_id},
            "other_role": {"spawn_role": "parent"},
            "both_materials": {"csr_pem": broken},
            "no_subject": {"caller_inbound_subject": None},
            "no_instance": {"instance_id": None},
            "broken_request": {"csr_pem": broken, "peer_ca_bundle_pem": None},
            "broken_bundle": {"peer_ca_bundle_pem": body["peer_ca_bundle_pem"].replace("A", "B")},
            "anchor_of_the_issuer": {"peer_ca_bundle_pem": target.authority.ca_bundle_pem},
            "leaf_as_anchor": {"peer_ca_bundle_pem": "".join(attacks.pem_of(der) for der in caller.server_chain[:1])},
            "no_material": {"peer_ca_bundle_pem": None},
            "no_token": {"acceptance_token": None},
            "bad_endpoint": {"endpoints": [{"url": caller.url.replace("https:", "http:")}]},
            "bad_capabilities": {"capabilities": _nested(OBJECT_DEPTH_MAX + 1)},
            "bad_slug": {"extension_slugs": ["two words"]},
            "no_flaw": {},
        }
        return {"caller_inbound_subject": subject, **flaws[self.flaw]}


def _nested(levels: int) -> dict[str, Any]:
    """Objects inside each other, so many of them."""
    return {} if levels == 1 else {"deeper": _nested(levels - 1)}


def request_of(stage: Stage, caller: Host, token: str) -> dict[str, Any]:
    """A sound accept of a platform, as a handshake that it does not know of."""
    chance = stage.world.chance.stream("attacks")
    return {
        "acceptance_token": token,
        "contract_version": 1,
        "handshake_id": uuid7(caller.clock.wall(), chance),
        "peer_ca_bundle_pem": caller.authority.ca_bundle_pem,
        "instance_id": caller.instance_id,
    }
