"""A peer that reads a catalogue in a scenario: page after page over the simulated links, and the judgement of what it has seen.

Lives here: the call, as the stage polls it. Must not live here: what is asked for (an action), or any rule of the endpoint itself.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs

from actors.peer.record import PeerRecord
from actors.peer.steps import reachable_identity
from actors.ports import GRANT_BEARER_PURPOSE, RemoteReply, RemoteRequest
from actors.resource.record import KIND, ResourceRecord
from runtime.secret import Secret
from runtime.store.port import Query
from sim.remote import SimulatedRemote
from sim.world import Host, Reply

TIMEOUT_S = 30.0


@attrs.define(eq=False)
class CatalogueReading:
    """One list, read to its end by `host` from `home`. The stage polls it like an operator's call.

    Its answer is `ok`, the code of the refusal or fault that ended it, `gap` if a record that was there from the start to the end was never
    shown, or `repeat` if one was shown twice without having changed.
    """

    name: str | None
    host: Host
    home: Host
    peer: PeerRecord
    kind: str
    bearer: str = attrs.field(repr=False)
    limit: int
    pause_s: float
    incarnation: int
    hands_to: str | None = None
    code: str | None = None
    began_at: float = 0.0
    seen: Counter[str] = attrs.field(factory=Counter)
    _reply: Reply | None = None

    @property
    def request(self) -> tuple[str, str, Any]:
        """What was asked for, for the trace."""
        return "GET", f"/federation_api/resources/{self.kind}", None

    @property
    def waiting(self) -> bool:
        """Whether somebody is there who may still go on."""
        return self.host.running and self.host.incarnation == self.incarnation

    def begin(self) -> None:
        """Ask for the first page."""
        self.began_at = self.home.clock.wall()
        self._ask(None)

    def poll(self) -> Reply | None:
        """The end of the list, once."""
        if self.code is not None or self._reply is None:
            return None
        reply = self._reply
        self.code = "ok" if reply.status < 400 else str(reply.body.get("code"))
        return reply

    def _ask(self, cursor: str | None) -> None:
        path = f"/federation_api/resources/{self.kind}?limit={self.limit}" + (f"&cursor={cursor}" if cursor else "")
        known = reachable_identity(self.peer)
        if known is None:
            self._reply = Reply(503, {"code": "no_outbound_identity"})
            return
        # The reader asks even when its own platform would not: what the home answers is what is looked at.
        request = RemoteRequest(
            peer_id=self.peer.id,
            method="GET",
            path=path,
            body=None,
            urls=(self.home.url,),
            identity=known[0],
            expectation=known[1],
            timeout_s=TIMEOUT_S,
            sealed_bearer=self.host.vault.seal(Secret(self.bearer), GRANT_BEARER_PURPOSE),
        )
        SimulatedRemote(self.host).request(request, self._answered)

    def _answered(self, outcome: Any) -> None:
        if not isinstance(outcome, RemoteReply):
            self._reply = Reply(outcome.status, {"code": outcome.code})
        elif outcome.status != 200:
            self._reply = Reply(outcome.status, outcome.body)
        else:
            self.seen.update(entry["id"] for entry in outcome.body["data"])
            cursor = outcome.body["meta"]["next_cursor"]
            if cursor is None:
                wrong = self._judged()
                self._reply = Reply(200, outcome.body) if wrong is None else Reply(500, {"code": wrong})
            else:
                self.host.world.timeline.after(self.pause_s, lambda: self._ask(cursor) if self.waiting else None)

    def _judged(self) -> str | None:
        """What the list got wrong, by the home's own rows."""
        rows: list[ResourceRecord] = [row.record for row in self.home.store.query(Query(KIND.name)) if row.record.kind == self.kind]
        for record in rows:
            if record.lives and record.created_at <= self.began_at and not self.seen[record.id]:
                return "gap"
            if self.seen[record.id] > 1 and record.updated_at <= self.began_at:
                return "repeat"
        return None
