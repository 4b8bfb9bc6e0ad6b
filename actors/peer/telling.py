"""Telling the remote of what has changed here and concerns it, so that it need not find out by asking.

Lives here: notices that are sent as peer events, one at a time, and what waits to be told. Must not live here: what a change means, or
notices that must arrive (the end of a peering is an intent of its own, see `ending`).

Nothing hangs on a notice: whoever misses it learns the same when it next uses what changed. So what waits is volatile and bounded, later
news of one subject takes the place of earlier news, and what could not be told waits for the next sign that the remote is there.

What has ended is told first, and many ends in one call: however much a peer loses at once, it shows soon that it is lost, though the
remote hears few calls a minute. A remote of an earlier release hears only the first of many; it is told of the others one by one.
"""

from __future__ import annotations

from itertools import islice

from actors.limits import NEWS_IN_ONE_EVENT_MAX, NEWS_OF_ENDS_WAITING_MAX, NEWS_WAITING_MAX
from actors.peer.channel_keeping import ChannelKeeping
from actors.peer.lifecycle import LIVE
from actors.peer.messages import NewsTold, Tell, TellAgain, together
from actors.peer.outbound import exchange
from actors.peer.record import PeerRecord
from actors.peer.remote_answers import retry_after_s
from actors.ports import RemoteReply
from runtime.actor import handles
from runtime.context import Context
from runtime.errors import Fault


class Telling(ChannelKeeping):
    """Handlers of notices to one peer."""

    news: tuple[Tell, ...] = ()
    news_of_ends: dict[str, Tell] | None = None
    telling_news: bool = False
    hears_one: bool = False
    told_to_wait: bool = False

    @handles(Tell)
    def on_tell(self, message: Tell, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None or record.status not in LIVE:
            return
        others = tuple(told for told in self.news if told.subject != message.subject)
        ends = self.news_of_ends if self.news_of_ends is not None else {}
        ends.pop(message.subject, None)
        if message.ends:
            ends[message.subject] = message
            self.news = others
        else:
            self.news = (*others, message)[-NEWS_WAITING_MAX:]
        if len(ends) > NEWS_OF_ENDS_WAITING_MAX:
            del ends[next(iter(ends))]
        self.news_of_ends = ends or None
        self.tell_news(ctx)

    def tell_news(self, ctx: Context) -> None:
        """Tell the oldest news, if the remote can be called and is not being told of something else."""
        record: PeerRecord | None = self.record
        told = self._next()
        if record is None or self.telling_news or self.told_to_wait or not told:
            return
        body = together(told[0], told[1:])
        request = exchange(record, self.evidence, ctx.settings, ctx.wall, "POST", "/federation_api/peer_events", body)
        if isinstance(request, Fault):
            return
        self.telling_news = True
        ctx.call(request, then=NewsTold, tag=told)

    @handles(NewsTold)
    def on_news_told(self, message: NewsTold, ctx: Context) -> None:
        self.telling_news = False
        record: PeerRecord | None = self.record
        if record is None or record.status not in LIVE:
            self.news, self.news_of_ends = (), None
        elif isinstance(message.outcome, RemoteReply) and message.outcome.status == 429:
            # As soon as it hears more, not with the next heartbeat: what has ended waits no longer than it must.
            self.told_to_wait = True
            ctx.after(retry_after_s(message.outcome), TellAgain(), "news")
        elif isinstance(message.outcome, RemoteReply) and message.outcome.status < 500:
            # Heard, or refused for good: a remote that does not know the kind says so by acknowledging it.
            told: tuple[Tell, ...] = message.tag
            if len(told) > 1 and not _heard_all(message.outcome, len(told)):
                told, self.hears_one = told[:1], True
            self._forget(told)
            self.tell_news(ctx)

    @handles(TellAgain)
    def on_tell_again(self, message: TellAgain, ctx: Context) -> None:
        self.told_to_wait = False
        self.tell_news(ctx)

    def _next(self) -> tuple[Tell, ...]:
        """What goes in the next call."""
        if self.news_of_ends is None:
            return self.news[:1]
        kind = next(iter(self.news_of_ends.values())).body["kind"]
        like = (told for told in self.news_of_ends.values() if told.body["kind"] == kind)
        return tuple(islice(like, 1 if self.hears_one else NEWS_IN_ONE_EVENT_MAX))

    def _forget(self, told: tuple[Tell, ...]) -> None:
        """Drop what was told; newer news of the same subject stays."""
        self.news = tuple(each for each in self.news if each not in told)
        ends = {subject: each for subject, each in (self.news_of_ends or {}).items() if each not in told}
        self.news_of_ends = ends or None


def _heard_all(reply: RemoteReply, count: int) -> bool:
    data = reply.body.get("data")
    return reply.status < 300 and isinstance(data, dict) and data.get("heard") == count
