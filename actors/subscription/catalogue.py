"""What a peer offers, as last seen: asked anew at every look, kept for when the peer is away.

Lives here: the record and its actor. Must not live here: the reading of an answer (see `answers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from actors.peer.outbound import exchange
from actors.peer.standing import peer_of
from actors.subscription import answers
from actors.subscription.messages import Browse, Fetched
from runtime.actor import Actor, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Kind
from runtime.values import Value

PAGES_MAX: Final = 5
PATH: Final = f"/federation_api/service_catalog?limit={answers.CATALOGUE_PAGE_MAX}"


class KeptCatalogue(Value, frozen=True, kw_only=True):
    """A peer's catalogue; its id is the peer's. Times are seconds since the epoch.

    Attributes:
        complete: whether that is all; a peer may offer more than is fetched.
        observed_at: when all of it was seen.
        peering_epoch: of the peering in which it was seen.
    """

    id: str
    version: int = 0
    account_id: str
    peering_epoch: int
    entries: tuple[Mapping[str, Any], ...]
    complete: bool = True
    observed_at: float


class Seen(Value, frozen=True):
    """A catalogue, and why it is not fresh; None if it is."""

    catalogue: KeptCatalogue
    stale_because: str | None = None


KIND: Final = Kind(
    name="peer_catalogue", record=KeptCatalogue, columns={"account_id": "text"}, project=lambda it: {"account_id": it.account_id}
)


class PeerCatalogueActor(Actor):
    """One peer's catalogue. Those who look at the same time share one call."""

    kind = KIND

    def __init__(self) -> None:
        self.waiting: list[Any] = []
        self.entries: list[Mapping[str, Any]] = []
        self.pages = 0

    @handles(Browse)
    def on_browse(self, message: Browse, ctx: Context) -> None:
        self.waiting.append(ctx.defer())
        if len(self.waiting) == 1:
            self.entries, self.pages = [], 0
            self._fetch(ctx, PATH)

    def _fetch(self, ctx: Context, path: str) -> None:
        peer = peer_of(ctx, ctx.ref.id)
        fault: Any = OperatorFault("peer_not_found", "there is no such platform peer", 404)
        request = exchange(peer, None, ctx.settings, ctx.wall, "GET", path) if peer is not None else fault
        if isinstance(request, Fault):
            self._away(ctx, request)
        else:
            ctx.call(request, then=Fetched)

    @handles(Fetched)
    def on_fetched(self, message: Fetched, ctx: Context) -> None:
        fault = message.fault or answers.refusal(message.outcome)
        page = answers.page(message.outcome) if fault is None else fault
        if isinstance(page, Fault):
            self._away(ctx, page)
            return
        self.entries += page.entries
        self.pages += 1
        if page.following is not None and self.pages < PAGES_MAX:
            self._fetch(ctx, f"{PATH}&cursor={page.following}")
            return
        peer = peer_of(ctx, ctx.ref.id)
        if peer is None:
            self._away(ctx, OperatorFault("peer_not_found", "there is no such platform peer", 404))
            return
        entries = tuple(self.entries)
        ctx.save(
            KeptCatalogue(
                id=ctx.ref.id,
                account_id=peer.account_id,
                peering_epoch=peer.peering_epoch,
                entries=entries,
                complete=page.following is None,
                observed_at=ctx.wall,
            )
        )
        self._answer(ctx, Seen(ctx.record))

    def _away(self, ctx: Context, fault: Fault) -> None:
        kept: KeptCatalogue | None = self.record
        peer = peer_of(ctx, ctx.ref.id)
        known = kept is not None and peer is not None and kept.peering_epoch == peer.peering_epoch
        self._answer(ctx, Seen(kept, fault.code) if kept is not None and known else fault)

    def _answer(self, ctx: Context, outcome: Seen | Fault) -> None:
        waiting, self.waiting, self.entries = self.waiting, [], []
        for address in waiting:
            ctx.answer(address, outcome)

    def holds_work(self) -> bool:
        return bool(self.waiting)


def to_json(seen: Seen, wall: float) -> list[dict[str, Any]]:
    """The entries for operators, each with how fresh it is."""
    catalogue = seen.catalogue
    freshness = {
        "observed_at": iso(catalogue.observed_at),
        "age_seconds": int(max(0.0, wall - catalogue.observed_at)),
        "fresh": seen.stale_because is None,
    }
    return [{**entry, **freshness} for entry in catalogue.entries]
