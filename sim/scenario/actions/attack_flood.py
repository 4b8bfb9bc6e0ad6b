"""`attack_flood`: somebody calls again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from actors.door.call import Answer
from actors.limits import RELAY_TOKEN_CHARS
from actors.urls import host_of
from sim import attacks
from sim.attacks import HOUR_S, Leaf, Shown
from sim.scenario.actions.registry import action
from sim.scenario.kinds import DURATION, PLATFORM, WHOLE, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage
    from sim.world import Host

OWN: Final = (
    "heartbeat", "trust_bundle", "peer_events", "resources", "service_catalog", "subscriptions", "grants", "channel", "relayed",
    "certificate", "audit_excerpts",
)  # fmt: skip
"""What only a peer may call, so that the caller uses his own key."""
NO_SEAT: Final = "subscriptions/00000000-0000-7000-8000-000000000000"
ROUTES: Final = ("accept", "accept_other_contract", *OWN, "nobody", "login")
PATHS: Final = {"nobody": "trust_bundle", "accept_other_contract": "accept", "subscriptions": NO_SEAT, "login": "/api/v1/auth/login"}


@action("attack_flood", answered=True, fault=True)
@attrs.frozen(kw_only=True)
class AttackFlood:
    """Somebody calls a platform again and again: with guessed tokens or passwords, as a peer with its own key, or with a certificate of
    nobody. The answer of the step is that to the last call."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform is called"))
    by: str = attrs.field(metadata=key(PLATFORM, "from whose address, and with whose CA"))
    what: str = attrs.field(
        metadata=key(
            one_of(*ROUTES),
            "what is called; `nobody` is a trust bundle with an unknown subject, `accept_other_contract` names no contract of ours",
        )
    )
    count: int = attrs.field(metadata=key(WHOLE, "how often"))
    every_s: float = attrs.field(metadata=key(DURATION, "the time between two calls", "every"))
    sources: int = attrs.field(default=1, metadata=key(WHOLE, "from how many addresses, in turns"))

    def perform(self, stage: Stage, name: str | None) -> None:
        target, attacker = stage.host(self.on), stage.host(self.by)
        wall = target.clock.wall()
        subject = stage.peer_id(self.on, self.by) if self.what in OWN else attacker.instance_id
        leaf = Leaf(common_name=f"fed:{subject}", instance_id=attacker.instance_id, begins=wall - HOUR_S, ends=wall + HOUR_S)
        shown = Shown() if self.what == "login" or self.what.startswith("accept") else attacks.forge(attacker, leaf)
        route = PATHS.get(self.what, self.what)

        row = stage.row(self.by, self.on)
        if self.what == "heartbeat" and (row is None or row.outbound is None):
            # Whoever has a platform's key may prove it to a row to which that platform has none that fits yet.
            stage.watch.facts.lied(target, attacker)

        answers: list[Answer] = []

        def call(number: int) -> None:
            body = self._body(number, target)
            address = attacker.address if self.sources == 1 else f"198.51.100.{number % self.sources + 1}"
            source = self.by if self.what in OWN else attacks.ATTACKER
            attacks.send(target, route, body, shown, attacker, source, address=address, answers=answers)

        for number in range(self.count):
            stage.world.timeline.after(number * self.every_s, lambda number=number: call(number))  # type: ignore[misc]
        stage.strange(name, self.on, "POST", route, answers, self.count)

    def _body(self, number: int, target: Host) -> dict[str, object] | None:
        bodies: dict[str, dict[str, object]] = {
            "accept": {"acceptance_token": f"{number:043d}"},
            "accept_other_contract": {"acceptance_token": f"{number:043d}", "contract_version": 2},
            "heartbeat": {"boot_epoch": 1, "sequence": number},
            "peer_events": {
                "event_id": f"00000000-0000-7000-8000-{number:012d}",
                "kind": "peer.compromise_disclosed",
                "reason": "a rumour",
            },
            "relayed": {"token": f"{number:0{RELAY_TOKEN_CHARS}d}", "server_name": host_of(target.url), "client_address": "198.51.100.9"},
            "certificate": {"csr_pem": "none"},
            "login": {"email": "operator@example.com", "password": f"guess number {number}"},
        }
        return bodies.get(self.what)
