"""`look_finding`: whether a platform reports something about a peer."""

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
    """Whether a platform has a finding of this kind about a peer now, as the answer of the step: `open` or `none`."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose finding"))
    peer: str = attrs.field(metadata=key(PLATFORM, "about which peer"))
    kind: str = attrs.field(metadata=key(one_of(*sorted(KINDS)), "the kind of finding"))

    def perform(self, stage: Stage, name: str | None) -> None:
        host, row = stage.host(self.on), stage.row(self.on, self.peer)
        if name is not None:
            evidence = None if row is None else stage.watch.facts.evidence[self.on].get(row.id)
            found = () if row is None else (*scan_peer(row, evidence, host.settings(), host.clock.wall()), *across(host, row))
            stage.history.answers[name] = "open" if any(each.kind == self.kind for each in found) else "none"


def across(host: Host, peer: PeerRecord) -> tuple[Finding, ...]:
    """What other rows than its own show about a peer."""
    found = scan_across(host.store.query, host.account_id, (peer,), host.settings(), host.clock.wall())
    return tuple(each for each in found if each.federation_peer_id == peer.id)
