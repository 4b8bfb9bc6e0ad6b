"""Telling the remote of what has changed here and concerns it, so that it need not find out by asking.

Lives here: notices that are sent as peer events, one at a time, and what waits to be told. Must not live here: what a change means, or
notices that must arrive (the end of a peering is an intent of its own, see `ending`).

Nothing hangs on a notice: whoever misses it learns the same when it next uses what changed. So what waits is volatile and bounded, later
news of one subject takes the place of earlier news, and what could not be told waits for the next sign that the remote is there.
"""

from __future__ import annotations

from actors.limits import NEWS_WAITING_MAX
from actors.peer.channel_keeping import ChannelKeeping
from actors.peer.lifecycle import LIVE
from actors.peer.messages import NewsTold, Tell
from actors.peer.outbound import exchange
from actors.peer.record import PeerRecord
from actors.ports import RemoteReply
from runtime.actor import handles
from runtime.context import Context
from runtime.errors import Fault


class Telling(ChannelKeeping):
    """Handlers of notices to one peer."""

    news: tuple[Tell, ...] = ()
    telling_news: bool = False

    @handles(Tell)
    def on_tell(self, message: Tell, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None or record.status not in LIVE:
            return
        others = tuple(told for told in self.news if told.subject != message.subject)
        self.news = (*others, message)[-NEWS_WAITING_MAX:]
        self.tell_news(ctx)

    def tell_news(self, ctx: Context) -> None:
        """Tell the oldest news, if the remote can be called and is not being told of something else."""
        record: PeerRecord | None = self.record
        if record is None or self.telling_news or not self.news:
            return
        told = self.news[0]
        request = exchange(record, self.evidence, ctx.settings, ctx.wall, "POST", "/federation_api/peer_events", told.body)
        if isinstance(request, Fault):
            return
        self.telling_news = True
        ctx.call(request, then=NewsTold, tag=told)

    @handles(NewsTold)
    def on_news_told(self, message: NewsTold, ctx: Context) -> None:
        self.telling_news = False
        record: PeerRecord | None = self.record
        if record is None or record.status not in LIVE:
            self.news = ()
        elif isinstance(message.outcome, RemoteReply) and message.outcome.status < 500 and message.outcome.status != 429:
            # Heard, or refused for good: a remote that does not know the kind says so by acknowledging it.
            self.news = tuple(told for told in self.news if told != message.tag)
            self.tell_news(ctx)
