"""`look_finding`: whether a platform reports something about a peer, or about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.findings import KINDS, Finding
from actors.governance.reading import scan_across
from actors.governance.scanner import scan_peer
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from actors.peer.record import PeerRecord
    from sim.scenario.stage import Stage
    from sim.world import Host


@action("look_finding", answered=True, answers=("open", "none"))
@attrs.frozen(kw_only=True)
class LookFinding:
    """Whether a platform has a finding of this kind about a peer, or about itself, now, as the answer of the step: `open` or `none`."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose finding"))
    peer: str | None = attrs.field(default=None, metadata=key(PLATFORM, "about which peer; if not given, about the platform itself"))
    kind: str = attrs.field(metadata=key(one_of(*sorted(KINDS)), "the kind of finding"))

    def perform(self, stage: Stage, name: str | None) -> None:
        host = stage.host(self.on)
        if name is not None:
            row = stage.row(self.on, self.peer) if self.peer is not None else None
            evidence = None if row is None else stage.watch.facts.evidence[self.on].get(row.id)
            alone = () if row is None else scan_peer(row, evidence, host.settings(), host.clock.wall())
            found = () if row is None and self.peer is not None else (*alone, *across(host, row))
            stage.history.answers[name] = "open" if any(each.kind == self.kind for each in found) else "none"


def across(host: Host, peer: PeerRecord | None) -> tuple[Finding, ...]:
    """What other rows than its own show about a peer, or (None) about the platform itself."""
    known, about = ((peer,), peer.id) if peer is not None else ((), None)
    found = scan_across(host.store.query, host.store.load, host.account_id, known, host.settings(), host.clock.wall())
    return tuple(each for each in found if each.federation_peer_id == about)
