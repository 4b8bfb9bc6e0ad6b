"""The engine: runs turns of actors, commits them in groups, and only then lets their effects out.

Lives here: cells (actors in memory), the ready queue, turns, group commit, asks, deadlines, crashes, passivation. Must not live here:
waiting. The engine is plain Python: `run()` does what can be done now, and a driver (`trio_driver`, the simulator's world) decides when
to call it again. Durable before visible: while a turn's commit is under way its actor takes no message; the others run on.
"""

from __future__ import annotations

import heapq
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from runtime.actor import Actor, CallResult, Due, Ref, Resume
from runtime.clock import Clock
from runtime.context import Context
from runtime.directory import Directory
from runtime.errors import Fault, InternalFault, OperatorFault, unavailable
from runtime.limits import (
    ASK_TIMEOUT_MAX_S,
    BATCH_UNITS_MAX,
    CRASHES_TO_DEAD_LETTER,
    DUE_REPEAT_S,
    EVIDENCE_FLUSH_S,
    MESSAGES_PER_ACTOR,
    MESSAGES_PER_PASS,
    PASSIVATE_BUCKET_S,
    PASSIVATE_SLICE,
    RESUME_SLICE,
    RESUME_SLICE_EVERY_S,
    WALL_RECHECK_S,
)
from runtime.mailbox import Envelope, Mailbox
from runtime.random import Randomness
from runtime.recorder import Recorded, Retired, Ring, recorded
from runtime.store.port import BatchResult, Committed, Event, Kind, PutEvidence, Refused, Store, Unit, UnitResult, Unknown
from runtime.timers import Timer, TimerHeap
from runtime.trace import Trace

log = logging.getLogger("powernode.engine")

PortStart = Callable[[Any, Callable[[Any], None]], None]
"""Starts a port call and arranges for the callback to be called once, in the engine's thread, with a result or a `Fault`."""


@attrs.frozen
class Crash:
    """What is known of a handler that raised: the error without its locals, and the last turns of the actor."""

    ref: Ref
    message: Any
    error: BaseException
    dead_lettered: bool
    history: tuple[Recorded, ...]


@attrs.frozen
class RestartAfter:
    """Run the actor again, from its committed record, after `delay_s`."""

    delay_s: float


@attrs.frozen
class QuarantineFor:
    """Refuse the actor's messages for `duration_s`, then start it afresh."""

    duration_s: float


class CrashPolicy(Protocol):
    """Decides what happens to an actor whose handler raised (see `supervisor`)."""

    def crashed(self, crash: Crash) -> RestartAfter | QuarantineFor: ...

    def healthy(self, ref: Ref) -> None:
        """The actor left memory in good order; its crash history may be dropped."""
        ...


class Ask:
    """One question waiting for exactly one answer: the reply, the deadline, or the loss of whoever held it."""

    __slots__ = ("_done", "_timer", "holder")

    def __init__(self, done: Callable[[Any], None]) -> None:
        self._done: Callable[[Any], None] | None = done
        self._timer: Timer | None = None
        self.holder: Cell | None = None

    @property
    def open(self) -> bool:
        return self._done is not None

    def watch(self, timer: Timer) -> None:
        self._timer = timer

    def finish(self, value: Any) -> bool:
        """Hand over the outcome; False if there was one already."""
        done = self._done
        if done is None:
            return False
        self._done = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.holder is not None:
            self.holder.release(self)
        done(value)
        return True


class Cell:
    """One actor in memory: its mailbox, its instance, and what is volatile about it."""

    __slots__ = (
        "actor", "asks", "calls", "crashed_message", "crashes", "dirty", "gate", "incarnation", "mailbox", "quarantined", "queued", "ref",
        "resting", "ring", "timers", "type", "used",
    )  # fmt: skip

    def __init__(self, ref: Ref, actor_type: type[Actor], actor: Actor, incarnation: int, ring: Ring | None) -> None:
        self.ref = ref
        self.type = actor_type
        self.actor = actor
        self.mailbox = Mailbox()
        self.queued = False
        self.gate = False
        self.resting: Timer | None = None
        self.quarantined = False
        self.asks: dict[Ask, None] | None = None
        self.calls: set[int] | None = None
        self.timers: dict[str, Timer] | None = None
        self.ring = ring
        self.dirty = False
        self.used = 0.0
        self.crashes = 0
        self.crashed_message: Any = None
        self.incarnation = incarnation

    def hold(self, ask: Ask) -> None:
        if self.asks is None:
            self.asks = {}
        self.asks[ask] = None
        ask.holder = self

    def release(self, ask: Ask) -> None:
        if self.asks is not None:
            self.asks.pop(ask, None)

    @property
    def idle(self) -> bool:
        return not (
            self.queued
            or self.gate
            or self.dirty
            or self.resting
            or self.asks
            or self.calls
            or self.timers
            or self.mailbox.system
            or self.mailbox.user
            or self.actor.holds_work()
        )


Effect = tuple[str, Callable[[Any, Any], Any], Any, Any]


@attrs.define(eq=False)
class PendingTurn:
    """A turn whose writes are on their way to the disk."""

    cell: Cell
    unit: Unit
    effects: list[Effect]
    record: Any
    removed: bool
    evidence: Any
    answered: list[Ask]
    ask: Ask | None
    entry: tuple[Any, ...]


class Engine:
    """A system of virtual actors over one store.

    Args:
        store, clock, randomness: the engine's own ports.
        actors: actor kind to class; a kind's name is the name of its storage declaration where it has one.
        settings: frozen snapshot that handlers read as `ctx.settings`.
        ports: request type to the function that starts it.
        crash_policy: decides about restarts.
        scheduler: picks an index among n ready actors; None takes them in order of arrival. With one, actors are switched after every
            message, so that a seed explores interleavings.
        trace: attached by tests and worlds.
        wake: called when there is something to run and `run()` is not running.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        randomness: Randomness,
        actors: Mapping[str, type[Actor]],
        settings: Any,
        ports: Mapping[type, PortStart],
        crash_policy: CrashPolicy,
        scheduler: Callable[[int], int] | None = None,
        trace: Trace | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.randomness = randomness
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self.dead_letters: deque[tuple[Ref, str, str]] = deque(maxlen=1000)
        self.crashes: deque[Crash] = deque(maxlen=100)
        self.halted: str | None = None
        self.on_events: list[Callable[[Sequence[Event]], None]] = []
        self.on_unknown: Callable[[str], None] = lambda error: None
        self.wake = wake
        self._actors = dict(actors)
        self._kinds: dict[str, Kind] = {name: cls.kind for name, cls in actors.items() if cls.kind is not None}
        self._ports = dict(ports)
        self._policy = crash_policy
        self._scheduler = scheduler
        self._trace = trace
        self._cells: dict[Ref, Cell] = {}
        self._ready: deque[Cell] = deque()
        self._timers = TimerHeap()
        self._ctx = Context(self)
        self._pending: deque[PendingTurn] = deque()
        self._in_flight: list[PendingTurn | list[Cell]] | None = None
        self._results: deque[tuple[list[PendingTurn], list[Cell], BatchResult]] = deque()
        self._dirty: dict[Ref, Cell] = {}
        self._flush_timer: Timer | None = None
        self._flush_due = False
        self._running = False
        self._operation = 0
        self._incarnation = 0
        self._epoch = 0
        self._due: dict[Ref, float] = {}
        self._due_heap: list[tuple[float, Ref]] = []
        self._due_timer: Timer | None = None
        self._sweep_timer: Timer | None = None
        self._retired = Retired()
        self.directory = Directory(store, self._kinds)

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Arm every durable deadline, and wake in slices every record that asked to be resumed."""
        for kind, id, at in self.store.due():
            self._note_due(Ref(kind, id), at)
        waiting = deque(Ref(kind, id) for kind, id in self.store.resumable())
        if waiting:
            self._resume_slice(waiting)
        self.wake()

    def reset(self, store: Store) -> None:
        """Forget everything volatile and go on with a reopened store: the way out of an unknown commit outcome."""
        self._epoch += 1
        cells, self._cells = list(self._cells.values()), {}
        asks = [ask for cell in cells for ask in (*(cell.asks or ()), *(a for _, a in cell.mailbox.drain() if a is not None))]
        asks += [ask for turn in self._pending for ask in (*turn.answered, turn.ask) if ask is not None]
        self._ready.clear()
        self._pending.clear()
        self._results.clear()
        self._in_flight = None
        self._dirty.clear()
        self._due.clear()
        self._due_heap.clear()
        self._timers.clear()
        self._flush_timer = self._due_timer = self._sweep_timer = None
        self.halted = None
        self.store = store
        self.directory = Directory(store, self._kinds)
        for ask in asks:
            ask.finish(unavailable("the platform's storage"))
        self.start()

    def _resume_slice(self, waiting: deque[Ref]) -> None:
        for _ in range(min(RESUME_SLICE, len(waiting))):
            self._post(waiting.popleft(), Resume())
        if waiting:
            self._timers.add(self.clock.now() + RESUME_SLICE_EVERY_S, lambda: self._resume_slice(waiting))

    # --- sending -------------------------------------------------------------------------------------------------

    def tell(self, ref: Ref, message: Any, ask: Ask | None = None) -> bool:
        """Queue a user message. False if it was refused (mailbox full, quarantine, halted); an ask is then answered with the fault."""
        if self.halted is not None:
            return self._refuse(ref, message, ask, unavailable("this platform"), "halted")
        cell = self._cells.get(ref)
        if cell is None:
            cell = self._activate(ref)
        if cell.quarantined:
            return self._refuse(ref, message, ask, unavailable("this object", quarantined=True), "quarantine")
        kind = cell.type
        accepted, displaced = cell.mailbox.put_user((message, ask), kind.mailbox_max, kind.overflow, kind.coalesce_key)
        if displaced is not None:
            self._refuse(ref, displaced[0], displaced[1], _full(ref), "displaced")
        if not accepted:
            return self._refuse(ref, message, ask, _full(ref), "mailbox full")
        if not cell.queued and not cell.gate and cell.resting is None:
            cell.queued = True
            self._ready.append(cell)
            if not self._running:
                self.wake()
        return True

    def ask(self, ref: Ref, message: Any, timeout_s: float, done: Callable[[Any], None]) -> Ask:
        """Queue a message whose outcome is handed to `done` exactly once: a value, or a `Fault`."""
        ask = Ask(done)
        ask.watch(self._timers.add(self.clock.now() + min(timeout_s, ASK_TIMEOUT_MAX_S), lambda: self._expire(ask, ref)))
        self.tell(ref, message, ask)
        return ask

    def when_admitted(self, ref: Ref, callback: Callable[[], None]) -> bool:
        """For senders that wait: False if the user lane of `ref` has room now; else `callback` is called once it has."""
        cell = self._cells.get(ref)
        if cell is None or cell.mailbox.user is None or len(cell.mailbox.user) < cell.type.mailbox_max:
            return False
        if cell.mailbox.waiters is None:
            cell.mailbox.waiters = deque()
        cell.mailbox.waiters.append(callback)
        return True

    def resolve(self, ask: Ask, value: Any) -> None:
        """Answer an ask; a late answer is counted and dropped."""
        if not ask.finish(value):
            self.counters["late_replies"] += 1

    def _expire(self, ask: Ask, ref: Ref) -> None:
        if ask.finish(InternalFault("deadline_exceeded", "the platform did not answer in time; the request may be repeated", 503)):
            self.counters["asks_expired"] += 1

    def _refuse(self, ref: Ref, message: Any, ask: Ask | None, fault: Fault, why: str) -> bool:
        self.counters[f"refused: {why}"] += 1
        self.dead_letters.append((ref, type(message).__name__, why))
        if ask is not None:
            ask.finish(fault)
        return False

    def _post(self, ref: Ref, message: Any) -> None:
        """Queue a system message, activating the actor."""
        if self.halted is not None:
            return
        cell = self._cells.get(ref) or self._activate(ref)
        cell.mailbox.put_system((message, None))
        self._enqueue(cell)

    def _enqueue(self, cell: Cell) -> None:
        if not cell.queued and not cell.gate and cell.resting is None and (cell.mailbox.system or cell.mailbox.user):
            cell.queued = True
            self._ready.append(cell)
            if not self._running:
                self.wake()

    # --- running -------------------------------------------------------------------------------------------------

    def run(self, budget: int = MESSAGES_PER_PASS) -> bool:
        """Do what can be done now, at most about `budget` messages; True if there is more to do at once."""
        if not self.begin_pass():
            return True
        try:
            self._run_ready(budget)
        finally:
            more = self.end_pass()
        return more

    def begin_pass(self) -> bool:
        """Fire timers and act on finished commits; False if a pass is already running. Pair with `end_pass`."""
        if self._running:
            return False
        self._running = True
        ctx = self._ctx
        ctx.now, ctx.wall = self.clock.now(), self.clock.wall()
        self._timers.fire_due(ctx.now)
        while self._results:
            self._acted(*self._results.popleft())
        return True

    def end_pass(self) -> bool:
        """Hand gathered turns to the store if it is free; True if there is more to do at once."""
        try:
            while self._in_flight is None and (self._pending or self._flush_due):
                self._submit()
                while self._results:
                    self._acted(*self._results.popleft())
        finally:
            self._running = False
        return bool(self._ready or self._results)

    def _run_ready(self, budget: int) -> int:
        ready = self._ready
        if self._scheduler is not None:
            while ready and budget > 0:
                picked = self.pick()
                if picked is not None:
                    self.execute(*picked)
                budget -= 1
            return budget
        while ready and budget > 0:
            cell = ready.popleft()
            cell.queued = False
            mailbox = cell.mailbox
            count = 0
            while count < MESSAGES_PER_ACTOR and not cell.gate and cell.resting is None:
                if mailbox.system:
                    envelope = mailbox.system.popleft()
                elif mailbox.user:
                    envelope = mailbox.user.popleft()
                    if mailbox.waiters:
                        mailbox.waiters.popleft()()
                else:
                    break
                count += 1
                self._turn(cell, envelope)
            budget -= count
            if (mailbox.user or mailbox.system) and not cell.gate and cell.resting is None and not cell.queued:
                cell.queued = True
                ready.append(cell)
        return budget

    def pick(self) -> tuple[Cell, Envelope] | None:
        """Take the next (actor, message) by the scheduler; None if the chosen actor has nothing to run after all."""
        ready = self._ready
        index = 0 if self._scheduler is None else self._scheduler(len(ready))
        if index:
            ready.rotate(-index)
        cell = ready.popleft()
        if index:
            ready.rotate(index)
        cell.queued = False
        if cell.gate or cell.resting is not None:
            return None
        envelope = cell.mailbox.take()
        return None if envelope is None else (cell, envelope)

    def execute(self, cell: Cell, envelope: Envelope) -> None:
        """Run one picked message, wherever the driver likes, and queue the actor again if it has more."""
        self._turn(cell, envelope)
        self._enqueue(cell)

    @property
    def has_ready(self) -> bool:
        return bool(self._ready)

    def next_timer_at(self) -> float:
        """Monotonic time of the earliest timer, or infinity."""
        return self._timers.next_at()

    # --- one turn ------------------------------------------------------------------------------------------------

    def _turn(self, cell: Cell, envelope: Envelope) -> None:
        message, ask = envelope
        ctx = self._ctx
        ctx.cell = cell
        ctx.ref = cell.ref
        ctx.ask = ask
        cell.used = ctx.now
        try:
            handler = cell.type.handlers.get(type(message))
            if handler is not None:
                handler(cell.actor, message, ctx)
            elif not isinstance(message, Due | Resume):
                raise TypeError(f"{cell.ref.kind} does not handle {type(message).__name__}")
        except Exception as error:
            self._crashed(cell, envelope, error)
            return
        if ask is not None and not ctx._deferred and ask not in ctx._answered:
            ctx.answer(ask, InternalFault("internal_error", f"{cell.ref.kind} gave no answer", 500))
        effects = ctx._out
        ring = cell.ring
        if ring is None:
            ring = cell.ring = self._retired.take(cell.ref) or Ring()
        entry = (ctx.now, ctx.wall, message, "saved" if ctx._writes else "done", effects, ctx._draws, cell.actor.record)
        ring.add(entry)
        if self._trace is not None:
            self._trace.turn(ctx.now, cell.ref, message, entry[3], tuple(effect[0] for effect in effects))
        if ctx._writes:
            self._hold_turn(cell, ask, entry)
            ctx.clear()
        elif effects:
            if ctx._evidence is not None:
                self._evidence(cell, ctx._evidence)
            ctx.clear()
            self._perform(cell, effects)
        elif ctx._draws or ctx._deferred:
            ctx.clear()

    def _perform(self, cell: Cell, effects: list[Effect]) -> None:
        for name, perform, first, second in effects:
            try:
                perform(first, second)
            except Exception:
                # An effect that cannot leave (a bug) must not keep the others, or the platform, from going on.
                self.counters["effects_failed"] += 1
                log.exception("effect failed", extra={"ref": str(cell.ref), "effect": name})

    def _hold_turn(self, cell: Cell, ask: Ask | None, entry: tuple[Any, ...]) -> None:
        ctx = self._ctx
        evidence = ctx._evidence if ctx._evidence is not None else (cell.actor.evidence if cell.dirty else None)
        if evidence is not None:
            ctx._writes.append(PutEvidence(cell.ref.kind, cell.ref.id, evidence))
        turn = PendingTurn(
            cell, Unit(tuple(ctx._writes)), ctx._out, ctx._new_record, ctx._removed, evidence, ctx._answered, ask, entry
        )  # fmt: skip
        cell.gate = True
        self._pending.append(turn)

    def _evidence(self, cell: Cell, evidence: Any) -> None:
        cell.actor.evidence = evidence
        self.directory.committed(cell.ref.kind, cell.ref.id, cell.actor.record, evidence)
        if not cell.dirty:
            cell.dirty = True
            self._dirty[cell.ref] = cell
        if self._flush_timer is None:
            self._flush_timer = self._timers.add(self.clock.now() + EVIDENCE_FLUSH_S, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        self._flush_due = bool(self._dirty)

    # --- commit and act ------------------------------------------------------------------------------------------

    def _submit(self) -> None:
        turns = [self._pending.popleft() for _ in range(min(BATCH_UNITS_MAX, len(self._pending)))]
        flushed: list[Cell] = []
        units = [turn.unit for turn in turns]
        if self._flush_due and len(turns) < BATCH_UNITS_MAX:
            self._flush_due = False
            flushed = list(self._dirty.values())
            writes = tuple(PutEvidence(cell.ref.kind, cell.ref.id, cell.actor.evidence) for cell in flushed if not cell.gate)
            flushed = [cell for cell in flushed if not cell.gate]
            for cell in flushed:
                cell.dirty = False
                self._dirty.pop(cell.ref, None)
            if writes:
                units.append(Unit(writes))
            if self._dirty and self._flush_timer is None:
                self._flush_timer = self._timers.add(self.clock.now() + EVIDENCE_FLUSH_S, self._flush)
        if not units:
            return
        self._in_flight = [*turns]
        epoch = self._epoch
        self.counters["commits"] += 1
        self.counters["units"] += len(units)
        self.store.commit(units, lambda result: self._committed(epoch, turns, flushed, result))

    def _committed(self, epoch: int, turns: list[PendingTurn], flushed: list[Cell], result: BatchResult) -> None:
        if epoch != self._epoch:
            return
        self._in_flight = None
        self._results.append((turns, flushed, result))
        if not self._running:
            self.wake()

    def _acted(self, turns: list[PendingTurn], flushed: list[Cell], result: BatchResult) -> None:
        if isinstance(result, Unknown):
            self._halt(result.error, turns)
            return
        events: list[Event] = []
        for turn, outcome in zip(turns, result, strict=False):
            if isinstance(outcome, Committed):
                events += outcome.events
        if events:
            for listener in self.on_events:
                listener(events)
        for turn, outcome in zip(turns, result, strict=False):
            self._act(turn, outcome)

    def _act(self, turn: PendingTurn, outcome: UnitResult) -> None:
        cell = turn.cell
        cell.gate = False
        if isinstance(outcome, Refused):
            self._refused(turn, outcome)
            return
        actor = cell.actor
        if turn.removed:
            actor.record = actor.evidence = None
            self._due.pop(cell.ref, None)
        elif turn.record is not None:
            actor.record = turn.record
        if turn.evidence is not None:
            actor.evidence = turn.evidence
        if cell.dirty and turn.evidence is not None:
            cell.dirty = False
            self._dirty.pop(cell.ref, None)
        if turn.removed or turn.record is not None:
            self.directory.committed(cell.ref.kind, cell.ref.id, actor.record, actor.evidence)
            self._rearm_due(cell)
        elif turn.evidence is not None:
            self.directory.committed(cell.ref.kind, cell.ref.id, actor.record, actor.evidence)
        for write in turn.unit.writes:
            row = getattr(write, "record", None)
            if row is not None and row is not turn.record:
                self.directory.committed(write.kind, row.id, row, None)  # type: ignore[union-attr]
        self._perform(cell, turn.effects)
        self._enqueue(cell)

    def _refused(self, turn: PendingTurn, refused: Refused) -> None:
        """The unit was rolled back alone: whoever was to be answered hears why, and the actor goes on from its last record."""
        self.counters[f"refused: {refused.reason}"] += 1
        if refused.reason == "unique":
            fault: Fault = OperatorFault(refused.code, f"this would collide with an existing {refused.kind} ({refused.key})", 409)
        else:
            fault = InternalFault("internal_error", f"the change was not stored ({refused.reason})", 500)
            log.error("turn refused", extra={"ref": str(turn.cell.ref), "reason": refused.reason, "kind": refused.kind})
        for ask in dict.fromkeys([*turn.answered, *([turn.ask] if turn.ask is not None else [])]):
            self.resolve(ask, fault)
        self._renew(turn.cell)
        self._enqueue(turn.cell)

    def _halt(self, error: str, turns: list[PendingTurn]) -> None:
        """The outcome of a commit is unknown: nothing may be answered from memory any more."""
        log.critical("commit outcome unknown; the platform's actors stop", extra={"error": error})
        self.halted = error
        for turn in turns:
            for ask in (*turn.answered, turn.ask):
                if ask is not None:
                    ask.finish(unavailable("the platform's storage"))
        self.on_unknown(error)

    # --- volatile effects ----------------------------------------------------------------------------------------

    def arm(self, cell: Cell, what: tuple[str, float, Any]) -> None:
        """Set a volatile timer (see `Context.after`)."""
        key, delay_s, message = what
        if cell.timers is None:
            cell.timers = {}
        former = cell.timers.pop(key, None)
        if former is not None:
            former.cancel()
        incarnation = cell.incarnation

        def fire() -> None:
            if cell.incarnation == incarnation and cell.timers is not None:
                cell.timers.pop(key, None)
                cell.mailbox.put_system((message, None))
                self._enqueue(cell)

        cell.timers[key] = self._timers.add(self.clock.now() + max(0.0, delay_s), fire)
        if not self._running:
            self.wake()

    def disarm(self, cell: Cell, key: str) -> None:
        """Cancel a volatile timer."""
        timer = None if cell.timers is None else cell.timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def start_call(self, cell: Cell, what: tuple[Any, type[CallResult], Any]) -> None:
        """Start a port call (see `Context.call`)."""
        request, then, tag = what
        self._operation += 1
        operation = self._operation
        if cell.calls is None:
            cell.calls = set()
        cell.calls.add(operation)
        incarnation = cell.incarnation
        epoch = self._epoch

        def done(outcome: Any) -> None:
            if epoch != self._epoch or cell.incarnation != incarnation or not cell.calls or operation not in cell.calls:
                self.counters["stale_results"] += 1
                return
            cell.calls.discard(operation)
            cell.mailbox.put_system((then(outcome, tag), None))
            self._enqueue(cell)

        start = self._ports.get(type(request))
        if start is None:
            done(InternalFault("internal_error", f"no port takes {type(request).__name__}", 500))
        else:
            start(request, done)

    # --- activation, passivation ---------------------------------------------------------------------------------

    def _activate(self, ref: Ref) -> Cell:
        actor_type = self._actors[ref.kind]
        actor = actor_type()
        actor.ref = ref
        row = self.store.load(ref.kind, ref.id) if actor_type.kind is not None else None
        actor.record = None if row is None else row.record
        actor.evidence = None if row is None else row.evidence
        self._incarnation += 1
        cell = self._cells[ref] = Cell(ref, actor_type, actor, self._incarnation, None)
        cell.used = self.clock.now()
        self.counters["activations"] += 1
        if self._sweep_timer is None:
            self._sweep_timer = self._timers.add(cell.used + PASSIVATE_BUCKET_S, self._sweep)
        if row is not None:
            cell.mailbox.put_system((_ACTIVATED, None))
            self._enqueue(cell)
        return cell

    def _renew(self, cell: Cell) -> None:
        """Start the actor afresh from its committed record: volatile state, open calls and held asks are lost."""
        for ask in list(cell.asks or ()):
            ask.finish(unavailable("the operation under way"))
        for timer in (cell.timers or {}).values():
            timer.cancel()
        cell.asks = cell.timers = cell.calls = None
        self._incarnation += 1
        cell.incarnation = self._incarnation
        former = cell.actor
        actor = cell.type()
        actor.ref, actor.record, actor.evidence = former.ref, former.record, former.evidence
        cell.actor = actor
        if actor.record is not None:
            cell.mailbox.put_back((_ACTIVATED, None))

    def _sweep(self) -> None:
        self._sweep_timer = None
        self._sweep_slice(deque(self._cells.values()))

    def _sweep_slice(self, cells: deque[Cell]) -> None:
        now = self.clock.now()
        for _ in range(min(PASSIVATE_SLICE, len(cells))):
            cell = cells.popleft()
            limit = cell.type.passivate_after_s
            if limit is None or self._cells.get(cell.ref) is not cell or not cell.idle:
                continue
            if now - cell.used >= limit or cell.actor.record is None:
                self._passivate(cell)
        if cells:
            self._timers.add(now, lambda: self._sweep_slice(cells))
        elif self._cells:
            self._sweep_timer = self._timers.add(now + PASSIVATE_BUCKET_S, self._sweep)

    def passivate(self, ref: Ref) -> bool:
        """Let an idle actor leave memory now; False if it holds work or is not in memory."""
        cell = self._cells.get(ref)
        if cell is None or not cell.idle:
            return False
        self._passivate(cell)
        return True

    def _passivate(self, cell: Cell) -> None:
        del self._cells[cell.ref]
        cell.incarnation = 0
        if cell.ring is not None:
            self._retired.keep(cell.ref, cell.ring)
        self._policy.healthy(cell.ref)
        self.counters["passivations"] += 1

    # --- crashes -------------------------------------------------------------------------------------------------

    def _crashed(self, cell: Cell, envelope: Envelope, error: Exception) -> None:
        ctx = self._ctx
        message, ask = envelope
        ring = cell.ring = cell.ring or self._retired.take(cell.ref) or Ring()
        ring.add((ctx.now, ctx.wall, message, f"crashed:{type(error).__name__}", [], ctx._draws, cell.actor.record))
        if self._trace is not None:
            self._trace.turn(ctx.now, cell.ref, message, f"crashed:{type(error).__name__}", ())
        ctx.clear()
        self.counters["crashes"] += 1
        cell.crashes = cell.crashes + 1 if cell.crashed_message is message else 1
        poison = cell.crashes >= CRASHES_TO_DEAD_LETTER
        crash = Crash(cell.ref, message, error, poison, tuple(recorded(entry) for entry in ring.entries))
        self.crashes.append(crash)
        log.error(
            "handler raised", extra={"ref": str(cell.ref), "handled": type(message).__name__, "poison": poison}, exc_info=error
        )  # fmt: skip
        decision = self._policy.crashed(crash)
        if poison:
            cell.crashed_message = None
            self.dead_letters.append((cell.ref, type(message).__name__, "crashed its handler twice"))
            if ask is not None:
                ask.finish(InternalFault("internal_error", "the platform failed on this request; it was not carried out", 500))
        else:
            cell.crashed_message = message
            if message is not _ACTIVATED:
                cell.mailbox.put_back(envelope)
        self._renew(cell)
        self._rest(cell, decision)

    def _rest(self, cell: Cell, decision: RestartAfter | QuarantineFor) -> None:
        if isinstance(decision, QuarantineFor):
            for message, ask in cell.mailbox.drain():
                if not message is _ACTIVATED:
                    self._refuse(cell.ref, message, ask, unavailable("this object", quarantined=True), "quarantine")
            if cell.actor.record is not None:
                cell.mailbox.put_back((_ACTIVATED, None))
            cell.quarantined = True
        delay = decision.duration_s if isinstance(decision, QuarantineFor) else decision.delay_s
        if delay <= 0:
            self._enqueue(cell)
            return

        def wake() -> None:
            cell.resting = None
            cell.quarantined = False
            self._enqueue(cell)

        cell.resting = self._timers.add(self.clock.now() + delay, wake)

    # --- durable deadlines ---------------------------------------------------------------------------------------

    def _rearm_due(self, cell: Cell) -> None:
        kind = cell.type.kind
        at = None if kind is None or cell.actor.record is None else kind.due(cell.actor.record)
        if at is None:
            self._due.pop(cell.ref, None)
        elif self._due.get(cell.ref) != at:
            self._note_due(cell.ref, at)

    def _note_due(self, ref: Ref, at: float) -> None:
        self._due[ref] = at
        heapq.heappush(self._due_heap, (at, ref))
        self._arm_due()

    def _arm_due(self) -> None:
        if not self._due_heap:
            return
        wait = min(max(0.0, self._due_heap[0][0] - self.clock.wall()), WALL_RECHECK_S)
        at = self.clock.now() + wait
        if self._due_timer is not None:
            if self._due_timer.callback is not None and self._due_timer.at <= at:
                return
            self._due_timer.cancel()
        self._due_timer = self._timers.add(at, self._fire_due)
        if not self._running:
            self.wake()

    def _fire_due(self) -> None:
        self._due_timer = None
        wall = self.clock.wall()
        heap = self._due_heap
        again: list[tuple[float, Ref]] = []
        while heap and heap[0][0] <= wall:
            at, ref = heapq.heappop(heap)
            if self._due.get(ref) != at:
                continue
            self._post(ref, Due())
            # Until a commit moves the deadline it stays in force: fires at least once, takes effect once.
            self._due[ref] = wall + DUE_REPEAT_S
            again.append((wall + DUE_REPEAT_S, ref))
        for entry in again:
            heapq.heappush(heap, entry)
        self._arm_due()

    # --- looking in ----------------------------------------------------------------------------------------------

    def history(self, ref: Ref) -> tuple[Recorded, ...]:
        """The flight recorder's ring of one actor, oldest first; empty if nothing is kept."""
        cell = self._cells.get(ref)
        ring = (cell.ring if cell is not None else None) or self._retired.get(ref)
        return () if ring is None else tuple(recorded(entry) for entry in ring.entries)

    def state(self, ref: Ref) -> dict[str, Any]:
        """Where an actor stands now: in memory or not, mailbox depth, open work."""
        cell = self._cells.get(ref)
        if cell is None:
            return {"in_memory": False}
        return {
            "in_memory": True,
            "mailbox": len(cell.mailbox),
            "committing": cell.gate,
            "resting": cell.resting is not None,
            "open_calls": len(cell.calls or ()),
            "held_asks": len(cell.asks or ()),
            "timers": sorted(cell.timers or ()),
        }

    def known(self, kind: str) -> bool:
        """Whether there are actors of this kind."""
        return kind in self._actors

    @property
    def in_memory(self) -> Iterable[Ref]:
        return self._cells.keys()

    @property
    def quiescent(self) -> bool:
        """Nothing to run, nothing being committed, no ask waiting for a turn: only timers and ports can bring news."""
        return not (self._ready or self._pending or self._results or self._in_flight)


class _Activated:
    """Internal: run `on_activated` as a turn of its own."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Activated()"


def _run_activation(actor: Actor, message: Any, ctx: Context) -> None:
    actor.on_activated(ctx)


_ACTIVATED = _Activated()
Actor.handlers = {_Activated: _run_activation}


def _full(ref: Ref) -> Fault:
    return InternalFault("mailbox_full", f"{ref.kind} has too much work queued; try again shortly", 503, retry_after_s=1.0)
