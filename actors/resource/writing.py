"""How the catalogue writes: every record stamped later than the one before, in one transaction with everything else of the turn.

Lives here: the base of the catalogue's actor. Must not live here: a message, or a choice of what is written.
"""

from __future__ import annotations

from collections.abc import Iterable

from actors.capability.messages import CatalogueChanged
from actors.capability.record import followers
from actors.mirror.messages import CameHome
from actors.mirror.record import SHELF, of_origin
from actors.mirror.shelf import CAPABILITY
from actors.resource.catalogue import Catalogue, next_stamp
from actors.resource.limits import IDS_TOLD_MAX
from actors.resource.record import KIND, ResourceRecord
from runtime.actor import Actor, Ref
from runtime.context import Context
from runtime.values import evolve


class Writing(Actor):
    """What all sides of the catalogue share."""

    def store(self, ctx: Context, writes: Iterable[tuple[ResourceRecord, ResourceRecord | None]]) -> list[ResourceRecord]:
        """Write records, each stamped later than the one before, and tell of it."""
        catalogue: Catalogue = self.record or Catalogue(id=ctx.ref.id)
        stamp = catalogue.stamp
        stored: list[ResourceRecord] = []
        told: dict[str, dict[str, list[str]]] = {}
        for wanted, former in writes:
            stamp = next_stamp(stamp, ctx.wall)
            record = evolve(
                wanted,
                version=1 if former is None else former.version + 1,
                created_at=ctx.wall if former is None else former.created_at,
                updated_at=stamp,
                origin=wanted.origin or (former.origin if former is not None else {}),
            )
            ctx.put_row(KIND.name, record, None if former is None else former.version)
            stored.append(record)
            if record.incoming:
                self._came_home(ctx, record.id)
            change = "deleted" if not record.lives else "created" if former is None or not former.lives else "updated"
            told.setdefault(record.kind, {}).setdefault(change, []).append(record.id)
        if stored:
            ctx.save(evolve(catalogue, stamp=stamp))
        for kind, changes in told.items():
            for follower in ctx.query_ids(followers(ctx.ref.id, kind)):
                ctx.send(Ref(CAPABILITY, follower), CatalogueChanged())
            counts = {change: len(ids) for change, ids in changes.items()}
            ids = [id for changed in changes.values() for id in changed]
            ctx.emit("resource.changed", "low", ctx.ref.id, resource_kind=kind, **counts, ids=ids[:IDS_TOLD_MAX])
        return stored

    def _came_home(self, ctx: Context, id: str) -> None:
        """A record that arrives here for good is mirrored here no more."""
        for row in ctx.query(of_origin(id, IDS_TOLD_MAX)):
            ctx.send(Ref(SHELF.name, row.record.origin_peer_id), CameHome((id,)))
