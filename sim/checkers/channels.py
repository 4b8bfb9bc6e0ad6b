"""Peer channels: a pair uses one at a time, and none outlives the peering or a pause of it.

Lives here: the rules, as both ends show them at frame level, where a channel is one object. Must not live here: which of two stays, which
is the pair's own affair.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sim.checkers.ability import awake, delay_s
from sim.checkers.registry import Change, Checker, Commit, checker

AGREED_S: Final = 1.0
"""So soon after the first of two channels was put to use both ends have heard of the other one, and have decided."""

LOST_S: Final = 60.0
"""Where what is sent may be lost it is sent again for so long; a word that is lost for good shows by the next heartbeat."""

ENDED: Final = frozenset({"suspended", "revoked"})

CUT_S: Final = 5.0
"""So soon after a pause or the end of a peering its connections are closed."""


@checker("one_channel", source="docs/protocol.md#the-channel")
class OneChannel(Checker):
    """Of two channels of a pair both ends choose the same one: neither keeps its own for longer than the word of the other takes."""

    def on_evidence(self, change: Change, commit: Commit) -> None:
        before = None if change.before is None or change.before.evidence is None else change.before.evidence.channel_since
        if change.after is None or change.after.evidence.channel_since in (None, before):
            return
        host, id = commit.host, change.id
        self.later(AGREED_S / 2 + 4 * delay_s(host), lambda: self._look(host, id))

    def on_rest(self, host: Any) -> None:
        for id in self.facts.peers[host.name]:
            self._judge(host, id, None)

    def _look(self, host: Any, id: str) -> None:
        apart = self._apart(host, id)
        if apart is not None:
            calm = all(each.path.calm(AGREED_S, self.facts.now) for each in apart)
            self.later(AGREED_S if calm else LOST_S + host.federation.heartbeat_interval_s, lambda: self._judge(host, id, apart))

    def _judge(self, host: Any, id: str, former: Any) -> None:
        apart = self._apart(host, id)
        if apart is not None and former in (None, apart):
            self.complain(host, f"{id}: calls travel on another channel than that of the peer")

    def _apart(self, host: Any, id: str) -> Any:
        """The two channels that two ends use, if they are not the same one, and both ends know all that they have to."""
        there = next(self._ends(host, id), None)
        if there is None or not awake(host) or not awake(there[0]):
            return None
        ours, theirs = host.channels.in_use(id), there[0].channels.in_use(there[1])
        if ours is None or theirs is None or ours is theirs:
            return None
        now, both = self.facts.now, (ours, theirs)
        cut = any(each.path.is_cut(way, now) for each in both for way in ("out", "back"))
        broken = any(each.path.state != "open" or not all(end.alive and not end.ended for end in each.ends) for each in both)
        return None if cut or broken else both

    def _ends(self, host: Any, id: str) -> Iterator[tuple[Any, str]]:
        row = self.facts.peers[host.name].get(id)
        for other in self.facts.world.hosts.values():
            if row is not None and host.channels is not None and other.channels is not None and other.url == row.remote_instance_url:
                theirs = self.facts.newest(other, host.url)
                if theirs is not None and theirs.id == row.remote_peer_id:
                    yield other, theirs.id


@checker("channels_end", source="docs/operator-guide.md#pausing-and-ending-a-peering", holds=("P5",))
class ChannelsEnd(Checker):
    """Within five seconds of a pause or the end of a peering a platform that can act has closed its channel with the peer."""

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        status, former = change.after.record.status, None if change.before is None else change.before.record.status
        if status in ENDED and former not in (None, status) and commit.host.channels is not None:
            self._expect(commit.host, change.id)

    def on_rest(self, host: Any) -> None:
        wall = host.clock.wall()
        for id, record in self.facts.peers[host.name].items():
            if record.status in ENDED and wall - record.status_since > CUT_S + 4 * delay_s(host):
                self._judge(host, id)

    def _expect(self, host: Any, id: str) -> None:
        incarnation = host.incarnation

        def look() -> None:
            record = self.facts.peers[host.name].get(id)
            if host.incarnation != incarnation or not host.running or record is None or record.status not in ENDED:
                return
            if not awake(host) or self.facts.now - self.facts.resumed_at(host) < CUT_S + 4 * delay_s(host):
                self._expect(host, id)
            else:
                self._judge(host, id)

        self.later(CUT_S + 4 * delay_s(host), look)

    def _judge(self, host: Any, id: str) -> None:
        if host.channels is not None and host.channels.in_use(id) is not None:
            self.complain(host, f"{id}: is {self.facts.peers[host.name][id].status}, and the channel with it is open")
