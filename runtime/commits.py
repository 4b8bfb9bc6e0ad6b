"""Group commit: turns that wait for the disk, evidence that waits for company, and what the store has said of them.

Lives here: what goes into the next batch, and when. Must not live here: what a finished batch means for the actors (see `engine`).
One batch is under way at a time. Whatever gathers meanwhile goes with the next, so that the disk sets the pace and nobody waits twice.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final

from runtime.actor import Ref
from runtime.buggify import Decide, site
from runtime.cell import Cell, PendingTurn
from runtime.clock import Clock
from runtime.limits import BATCH_UNITS_MAX, EVIDENCE_FLUSH_S
from runtime.store.port import BatchResult, PutEvidence, Refused, Store, StoreError, Unit, UnitResult, Unknown
from runtime.timers import Timer, TimerHeap

COMMIT_ALONE: Final = site("commit.alone", "a turn is committed alone although others wait with it")
EVIDENCE_EARLY: Final = site("evidence.early", "evidence is written at once instead of together with more")


class GroupCommit:
    """What one engine writes.

    Args:
        arrived: called when the store has said something that somebody waits for.

    Attributes:
        pending: turns that wait for a batch.
        results: finished batches that nobody has acted on yet: the turns, and what became of each (evidence after them).
        committing: whether a batch is under way.
        flush_due: whether evidence is to go with the next batch.
    """

    def __init__(
        self, store: Store, clock: Clock, timers: TimerHeap, counters: Counter[str], buggify: Decide, arrived: Callable[[], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._timers = timers
        self._counters = counters
        self._buggify = buggify
        self._arrived = arrived
        self._dirty: dict[Ref, Cell] = {}
        self._flush_timer: Timer | None = None
        self._opened = 0
        self.pending: deque[PendingTurn] = deque()
        self.results: deque[tuple[list[PendingTurn], BatchResult]] = deque()
        self.committing = False
        self.flush_due = False

    def reopen(self, store: Store) -> None:
        """Go on with a reopened store: what was on its way to the former one is forgotten, and so is what that may still say."""
        self._opened += 1
        self._store = store
        self._dirty.clear()
        self._flush_timer = None
        self.pending.clear()
        self.results.clear()
        self.committing = self.flush_due = False

    # --- evidence ------------------------------------------------------------------------------------------------

    def taint(self, cell: Cell) -> None:
        """The evidence of an actor is newer than what is stored: it goes with a batch soon."""
        if not cell.dirty:
            cell.dirty = True
            self._dirty[cell.ref] = cell
        if self._flush_timer is None:
            wait_s = 0.0 if self._buggify(EVIDENCE_EARLY) else EVIDENCE_FLUSH_S
            self._flush_timer = self._timers.add(self._clock.now() + wait_s, self._flush)

    def clean(self, cell: Cell) -> None:
        """The evidence of an actor needs no batch of its own any more."""
        if cell.dirty:
            cell.dirty = False
            self._dirty.pop(cell.ref, None)

    def flush(self) -> bool:
        """Let what is dirty go with the next batch, without waiting for its time; False if nothing is."""
        self.flush_due = bool(self._dirty)
        return self.flush_due

    def _flush(self) -> None:
        self._flush_timer = None
        self.flush_due = bool(self._dirty)

    def _take_dirty(self, room: int) -> list[Unit]:
        """One unit for each actor's evidence, so that a bad one takes no other with it; gated actors wait for the next flush."""
        self.flush_due = False
        free = [cell for cell in self._dirty.values() if not cell.gate][:room]
        for cell in free:
            self.clean(cell)
        if self._dirty and self._flush_timer is None:
            self._flush_timer = self._timers.add(self._clock.now() + EVIDENCE_FLUSH_S, self._flush)
        return [Unit((PutEvidence(cell.ref.kind, cell.ref.id, cell.actor.evidence),)) for cell in free]

    # --- batches -------------------------------------------------------------------------------------------------

    def submit(self) -> None:
        """Hand the next batch to the store, which must be free. What it says arrives in `results`, perhaps before this returns."""
        pending = self.pending
        turns: list[PendingTurn] = []
        units: list[Unit] = []
        if pending:
            room = 1 if len(pending) > 1 and self._buggify(COMMIT_ALONE) else BATCH_UNITS_MAX
            turns = [pending.popleft() for _ in range(min(room, len(pending)))]
            units = [turn.unit for turn in turns]
        if self.flush_due and len(turns) < BATCH_UNITS_MAX:
            units += self._take_dirty(BATCH_UNITS_MAX - len(turns))
        if not units:
            return
        self.committing = True
        opened = self._opened
        self._counters["commits"] += 1
        self._counters["units"] += len(units)
        try:
            self._store.commit(units, lambda result: self._finished(opened, turns, result))
        except StoreError as error:
            self._finished(opened, turns, Unknown(str(error)))

    def _finished(self, opened: int, turns: list[PendingTurn], result: BatchResult) -> None:
        if opened != self._opened:
            return
        self.committing = False
        if not turns and not isinstance(result, Unknown) and not self.pending and not self.flush_due:
            # Evidence alone: nobody waits for it, and nothing follows.
            self.count_refused(result)
            return
        self.results.append((turns, result))
        self._arrived()

    def count_refused(self, evidence: Sequence[UnitResult]) -> None:
        """Count the evidence that the store did not take; the next one replaces it."""
        for outcome in evidence:
            if isinstance(outcome, Refused):
                self._counters["evidence_refused"] += 1
