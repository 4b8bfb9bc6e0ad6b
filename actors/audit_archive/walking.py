"""A run over all audit chains of an account, a slice at a time: what shipping and pruning share.

Lives here: which chain comes next, and that others get their turns between two. Must not live here: what is done with a chain.
"""

from __future__ import annotations

import abc
from collections import deque
from typing import Any

import attrs

from actors.audit_archive.chains import Chain, following
from actors.audit_archive.messages import NextChains
from actors.audit_archive.record import ShipmentRecord
from actors.limits import SHIPMENT_CHAINS_SLICE
from actors.periodic.daily import DailyActor
from runtime.actor import handles
from runtime.context import Context


@attrs.define(eq=False)
class Walk:
    """A run under way.

    Attributes:
        asked: who waits for the end.
        after_id: the last chain that was found; chains behind it come next.
        chains: found and not yet dealt with.
        current: the shipment at hand.
        failures: how many shipments came to nothing; `error` is the code of the last one.
    """

    asked: Any = None
    after_id: str | None = None
    chains: deque[Chain] = attrs.field(factory=deque)
    current: ShipmentRecord | None = None
    shipments: int = 0
    entries: int = 0
    failures: int = 0
    error: str | None = None


class Walker(DailyActor, abc.ABC):
    """Goes through the chains, daily and when it is asked to."""

    def begin_walk(self, ctx: Context, walk: Walk) -> None:
        """Begin a run."""
        self.running = walk
        self.next_chain(ctx)

    def next_chain(self, ctx: Context) -> None:
        """Go on in a turn of its own."""
        ctx.after(0.0, NextChains(), "next")

    @handles(NextChains)
    def on_next_chains(self, message: NextChains, ctx: Context) -> None:
        if self.running is not None:
            self.go_on(ctx, self.running)

    @abc.abstractmethod
    def go_on(self, ctx: Context, walk: Any) -> None:
        """Take the next chain, or end the run."""

    def more_chains(self, ctx: Context, walk: Walk) -> bool:
        """Find the next slice of chains; False if there are no more."""
        found = following(ctx.query_ids, ctx.ref.id, ctx.settings.identity.instance_id, walk.after_id, SHIPMENT_CHAINS_SLICE)
        walk.chains.extend(found)
        walk.after_id = found[-1].id if found else walk.after_id
        return bool(found)
