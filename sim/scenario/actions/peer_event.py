"""`peer_event`: a platform tells another of an event, beside what it does by itself."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import attrs

from actors.door.call import Answer
from actors.peer.lifecycle import LIVE
from actors.peer.peer_events import EVENT_KINDS
from actors.peer.steps import reachable_identity
from actors.ports import RemoteReply, RemoteRequest
from runtime.errors import Fault
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, TEXT, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


KINDS: Final = (*sorted(EVENT_KINDS), "peer.of_a_later_release")
"""What generated scenarios tell of."""


@action("peer_event", answered=True, fault=True)
@attrs.frozen(kw_only=True)
class TellPeerEvent:
    """A platform tells a peer of an event over mutual TLS, beside what its own row says."""

    on: str = attrs.field(metadata=key(PLATFORM, "who tells"))
    peer: str = attrs.field(metadata=key(PLATFORM, "who is told"))
    kind: str = attrs.field(metadata=key(TEXT, "the kind of event, such as `peer.compromise_disclosed`", drawn=KINDS))
    event: str = attrs.field(
        default="an event", metadata=key(TEXT, "what makes it the same event as another", drawn=("an event", "another"))
    )

    def perform(self, stage: Stage, name: str | None) -> None:
        host, record = stage.host(self.on), stage.row(self.on, self.peer)
        known = reachable_identity(record) if record is not None and record.status in LIVE else None
        if known is None or not host.responsive:
            raise StageError(f"{self.on} has no peering in force with {self.peer}, or does nothing")
        body = {"event_id": _id_of(self.event), "kind": self.kind, "reason": self.event}
        request = RemoteRequest(
            peer_id=record.id,
            method="POST",
            path="/federation_api/peer_events",
            body=body,
            urls=(record.remote_instance_url,),
            identity=known[0],
            expectation=known[1],
            timeout_s=10.0,
        )
        answers: list[Answer] = []

        def answered(outcome: RemoteReply | Fault) -> None:
            answers.append(Answer(outcome.status, outcome.body if isinstance(outcome, RemoteReply) else {"code": outcome.code}))

        host.send_as_platform(request, answered)
        stage.strange(name, self.peer, "POST", "peer_events", answers)


def _id_of(event: str) -> str:
    """The same UUID for the same event."""
    digest = hashlib.sha256(event.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-7{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
