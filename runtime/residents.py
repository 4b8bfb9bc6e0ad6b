"""Actors in memory: which there are, when one that is idle leaves, and the rings of those that have left.

Lives here: cells by address, the sweep, the flight recorder's rings. Must not live here: what an actor does when it enters memory or is
started afresh, which are turns (see `engine`).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from runtime.actor import Ref
from runtime.buggify import Decide, site
from runtime.cell import Cell
from runtime.clock import Clock
from runtime.limits import PASSIVATE_BUCKET_S, PASSIVATE_SLICE, SLICE_EVERY_S
from runtime.recorder import Recorded, Retired, Ring, add_checkpoint, new_ring, recorded
from runtime.timers import Timer, TimerHeap

PASSIVATE_EARLY: Final = site("passivate.early", "an idle actor leaves memory long before its time")


class Residents:
    """The cells of one engine.

    Args:
        left: told of each actor that leaves memory in good order.

    Attributes:
        cells: by address.
    """

    def __init__(self, clock: Clock, timers: TimerHeap, counters: Counter[str], buggify: Decide, left: Callable[[Ref], None]) -> None:
        self._clock = clock
        self._timers = timers
        self._counters = counters
        self._buggify = buggify
        self._left = left
        self._sweep_timer: Timer | None = None
        self._retired = Retired()
        self.cells: dict[Ref, Cell] = {}

    def enter(self, cell: Cell) -> None:
        """An actor enters memory."""
        self.cells[cell.ref] = cell
        self._counters["activations"] += 1
        if self._sweep_timer is None:
            self._sweep_timer = self._timers.add(cell.used + PASSIVATE_BUCKET_S, self._sweep)

    def evict_all(self) -> list[Cell]:
        """Every actor leaves at once, whatever it holds; their rings stay. Returns the cells. The sweep's timer is forgotten."""
        cells = list(self.cells.values())
        self.cells.clear()
        self._sweep_timer = None
        for cell in cells:
            if cell.ring:
                self._retired.keep(cell.ref, cell.ring)
        return cells

    def passivate(self, ref: Ref) -> bool:
        """Let an idle actor leave memory now; False if it holds work or is not in memory."""
        cell = self.cells.get(ref)
        if cell is None or not cell.idle:
            return False
        self._passivate(cell)
        return True

    # --- the sweep -----------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        self._sweep_timer = None
        self._sweep_slice(deque(self.cells.values()))

    def _sweep_slice(self, cells: deque[Cell]) -> None:
        now = self._clock.now()
        for _ in range(min(PASSIVATE_SLICE, len(cells))):
            cell = cells.popleft()
            if self.cells.get(cell.ref) is not cell:
                continue
            actor = cell.actor
            limit = actor.passivate_after_s
            # An address without a record costs nothing to visit again, and strangers may name any number of them.
            leaves = limit is not None and (now - cell.used >= limit or (actor.record is None and actor.kind is not None))
            leaves = leaves or (limit is not None and self._buggify(PASSIVATE_EARLY))
            if leaves and cell.idle:
                self._passivate(cell)
            elif cell.parked and now - cell.used >= PASSIVATE_BUCKET_S / 2:
                self._trim(cell)
            elif cell.ring and not cell.gate:
                add_checkpoint(cell.ring, actor, now, self._clock.wall())
        if cells:
            self._timers.add(now + SLICE_EVERY_S, lambda: self._sweep_slice(cells))
        elif self.cells:
            self._sweep_timer = self._timers.add(now + PASSIVATE_BUCKET_S, self._sweep)

    def _trim(self, cell: Cell) -> None:
        # Without a ring the actor has taken no turn since it was trimmed last.
        if cell.ring is not None:
            cell.trim()
            self._retired.keep(cell.ref, cell.ring)
            cell.ring = None

    def _passivate(self, cell: Cell) -> None:
        del self.cells[cell.ref]
        if cell.ring is not None:
            self._retired.keep(cell.ref, cell.ring)
        self._left(cell.ref)
        self._counters["passivations"] += 1

    # --- the flight recorder -------------------------------------------------------------------------------------

    def ring(self, cell: Cell) -> Ring:
        """The ring of an actor in memory, taken up again from its last stay if that is kept."""
        ring = cell.ring
        if ring is None:
            ring = cell.ring = self._retired.take(cell.ref) or new_ring(len(self.cells))
        return ring

    def note_start(self, cell: Cell) -> None:
        """Note what an actor holds as it starts from its committed record."""
        add_checkpoint(self.ring(cell), cell.actor, self._clock.now(), self._clock.wall())

    def history(self, ref: Ref) -> tuple[Recorded, ...]:
        """The flight recorder's ring of one actor, oldest first; empty if nothing is kept."""
        cell = self.cells.get(ref)
        ring = (cell.ring if cell is not None else None) or self._retired.get(ref)
        return () if ring is None else tuple(recorded(entry) for entry in ring)

    def recorded(self) -> list[Ref]:
        """Every actor of which something is kept, in order of their addresses."""
        kept = {ref for ref, cell in self.cells.items() if cell.ring}
        return sorted(kept.union(self._retired.refs()))

    def state(self, ref: Ref) -> dict[str, Any]:
        """Where an actor stands now: in memory or not, mailbox depth, open work."""
        cell = self.cells.get(ref)
        if cell is None:
            return {"in_memory": False}
        return {
            "in_memory": True,
            "mailbox": cell.depth,
            "committing": cell.gate,
            "resting": cell.resting is not None,
            "quarantined": cell.quarantined,
            "open_calls": len(cell.calls or ()),
            "held_asks": len(cell.asks or ()),
            "timers": sorted(cell.timers or ()),
        }
