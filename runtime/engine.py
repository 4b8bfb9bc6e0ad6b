"""The engine: runs turns of actors, commits them in groups, and only then lets their effects out.

Lives here: the ready queue, turns, asks, what commits make true, crashes. Must not live here: waiting, what goes into a batch (`commits`),
who stays in memory (`residents`), when a durable deadline has come (`due`). The engine is plain Python: `run()` does what can be done now,
and a driver (`trio_driver`, the simulator's world) decides when to call it again. Durable before visible: while a turn's
commit is under way its actor takes no message; the others run on.

Where a cell (an actor in memory) is:

    parked ──message──► ready ──turn──► parked, or ready again
                                  ├──saves──► gated ──batch done──► parked or ready
                                  └──raises──► resting or quarantined ──time──► parked or ready
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from runtime.actor import Activated, Actor, CallResult, Due, Ref, Resume
from runtime.ask_deadlines import AskDeadlines
from runtime.buggify import Decide, never, site
from runtime.cell import ArmedLook, ArmedMessage, Ask, Cell, Effect, PendingTurn
from runtime.clock import Clock
from runtime.commits import GroupCommit
from runtime.context import Context
from runtime.crash import Crash, CrashPolicy, QuarantineFor, RestartAfter, forget_locals
from runtime.dead_letters import DeadLetterReason, DeadLetters
from runtime.directory import Directory
from runtime.due import DueDeadlines
from runtime.errors import Fault, InternalFault, OperatorFault, unavailable
from runtime.limits import (
    ASK_TIMEOUT_MAX_S,
    CRASHES_TO_DEAD_LETTER,
    MESSAGES_PER_ACTOR,
    MESSAGES_PER_PASS,
    RESUME_SLICE,
    SLICE_EVERY_S,
)
from runtime.mailbox import Envelope
from runtime.random import Randomness
from runtime.recorder import Recorded, Ring, recorded
from runtime.residents import Residents
from runtime.store.port import BatchResult, Committed, Delete, Event, Kind, Put, PutEvidence, Refused, Store, StoreError, Unit, Unknown
from runtime.timers import TimerHeap
from runtime.trace import Trace

log = logging.getLogger("powernode.engine")

PORT_SLOW: Final = site("port.slow", "the outcome of a port call comes up to a second later")
PORT_SLOW_MAX_S: Final = 1.0

PortStart = Callable[[Any, Callable[[Any], None]], None]
"""Starts a port call and arranges for the callback to be called once, in the engine's thread, with a result or a `Fault`."""


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
        buggify: lets a world choose improbable behaviour (see `runtime.buggify`).
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
        buggify: Decide = never,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.randomness = randomness
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self.dead_letters = DeadLetters()
        self.crashes: deque[Crash] = deque(maxlen=100)
        self.halted: str | None = None
        self.last_cursor = 0
        self.buggify = buggify
        self.on_events: list[Callable[[Sequence[Event]], None]] = []
        self.on_unknown: Callable[[str], None] = lambda error: None
        self.wake = wake
        self._actors = dict(actors)
        self._kinds: dict[str, Kind] = {name: cls.kind for name, cls in actors.items() if cls.kind is not None}
        self._ports = dict(ports)
        self._policy = crash_policy
        self._scheduler = scheduler
        self._trace = trace
        self._ready: deque[Cell] = deque()
        self._arrive = self._enqueue
        self._timers = timers = TimerHeap()
        self._asks: dict[Ask, None] = {}
        self._ask_deadlines = AskDeadlines()
        self._ctx = Context(self)
        self._running = False
        self._unknown: str | None = None
        self._operation = 0
        self._epoch = 0
        self._commits = GroupCommit(store, clock, timers, self.counters, buggify, self._arrived)
        self._residents = Residents(clock, timers, self.counters, buggify, crash_policy.healthy)
        self._cells = self._residents.cells
        put_off_s = {name: kind.put_off_s for name, kind in self._kinds.items() if kind.put_off_s is not None}
        with_dates = frozenset(name for name, kind in self._kinds.items() if kind.has_dates)
        self._due = DueDeadlines(clock, timers, buggify, self._tell_due, self._knows_due, self._arrived, put_off_s, with_dates)
        self.directory = Directory(store, self._kinds)

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Arm every durable deadline, and wake in slices every record that asked to be resumed."""
        self.last_cursor = self.store.last_cursor()
        self._due.load([(Ref(kind, id), at) for kind, id, at in self.store.due() if kind in self._kinds])
        waiting = deque(Ref(kind, id) for kind, id in self.store.resumable() if kind in self._kinds)
        if waiting:
            self._resume_slice(waiting)
        self.wake()

    def reset(self, store: Store) -> None:
        """Forget everything volatile and go on with a reopened store: the way out of an unknown commit outcome.

        Whoever waits for an answer gets a fault; rings, counters and dead letters stay.
        """
        if self._running:
            raise RuntimeError("an engine cannot be reset from within its own pass")
        self._epoch += 1
        cells = self._residents.evict_all()
        self._ready.clear()
        self._commits.reopen(store)
        self._due.forget()
        asks = list(self._asks)
        self._timers.clear()
        self._ask_deadlines.clear()
        self.halted = None
        self.store = store
        self.directory.reopen(store)
        for cell in cells:
            cell.calls = None
        for ask in asks:
            ask.finish(unavailable("the platform's storage"))
        for cell in cells:
            cell.drain()
        self.start()

    def _resume_slice(self, waiting: deque[Ref]) -> None:
        for _ in range(min(RESUME_SLICE, len(waiting))):
            self._post(waiting.popleft(), Resume())
        if waiting:
            self._timers.add(self.clock.now() + SLICE_EVERY_S, lambda: self._resume_slice(waiting))

    # --- sending -------------------------------------------------------------------------------------------------

    def tell(self, ref: Ref, message: Any, ask: Ask | None = None) -> bool:
        """Queue a user message. False if it was refused (mailbox full, quarantine, halted); an ask is then answered with the fault."""
        cell = self._cells.get(ref)
        # The common case stands first and in one piece, because every message passes here.
        if cell is not None and (lane := cell.user) is not None and len(lane) < cell.room and self.halted is None:
            lane.append((message, ask))
        elif not self._admit(cell, ref, message, ask):
            return False
        else:
            cell = self._cells[ref]
        if cell.parked:
            cell.parked = False
            self._ready.append(cell)
            if not self._running:
                self.wake()
        return True

    def _admit(self, cell: Cell | None, ref: Ref, message: Any, ask: Ask | None) -> bool:
        """Queue a message where more than the length of the lane must be looked at; False if it was refused."""
        if self.halted is not None:
            return self._refuse(ref, message, ask, unavailable("this platform"), "stopping")
        if cell is None:
            if ref.kind not in self._actors:
                fault = InternalFault("internal_error", f"there are no actors of kind {ref.kind}", 500)
                return self._refuse(ref, message, ask, fault, "no_target")
            cell = self._activate(ref)
            if cell is None:
                return self._refuse(ref, message, ask, unavailable("the platform's storage"), "stopping")
        if cell.quarantined:
            return self._refuse(ref, message, ask, unavailable("this object", quarantined=True), "quarantined")
        actor = cell.actor
        accepted, displaced = cell.put_user((message, ask), actor.mailbox_max, actor.overflow, actor.coalesce_key)
        if displaced is not None and actor.overflow == "coalesce":
            self.counters["coalesced"] += 1
            if displaced[1] is not None:
                displaced[1].finish(InternalFault("superseded", "a newer message of the same kind took the place of this one", 503))
        elif displaced is not None:
            self._refuse(ref, *displaced, _full(ref), "mailbox_full")
        return accepted or self._refuse(ref, message, ask, _full(ref), "mailbox_full")

    def ask(self, ref: Ref, message: Any, timeout_s: float, done: Callable[[Any], None]) -> Ask:
        """Queue a message whose outcome is handed to `done` exactly once: a value, or a `Fault`."""
        ask = Ask(done, self._asks)
        self._ask_deadlines.watch(ask, self.clock.now(), min(timeout_s, ASK_TIMEOUT_MAX_S))
        self.tell(ref, message, ask)
        return ask

    def when_admitted(self, ref: Ref, callback: Callable[[], None]) -> bool:
        """For senders that wait: False if the user lane of `ref` has room now; else `callback` is called once it has.

        Who stops waiting must say so with `stop_waiting`, or the room meant for it is offered to nobody.
        """
        cell = self._cells.get(ref)
        if cell is None or cell.user is None or len(cell.user) < cell.actor.mailbox_max:
            return False
        if cell.waiters is None:
            cell.waiters = []
        cell.waiters.append(callback)
        return True

    def stop_waiting(self, ref: Ref, callback: Callable[[], None]) -> None:
        """Withdraw a callback of `when_admitted`; if it has been called already, the room is offered to the next in line."""
        cell = self._cells.get(ref)
        if cell is None or not cell.waiters:
            return
        if callback in cell.waiters:
            cell.waiters.remove(callback)
        elif cell.user is None or len(cell.user) < cell.actor.mailbox_max:
            cell.waiters.pop(0)()

    def resolve(self, ask: Ask, value: Any) -> None:
        """Answer an ask; a late answer is counted and dropped."""
        if not ask.finish(value):
            self.counters["late_replies"] += 1

    def _expire(self, ask: Ask) -> None:
        if ask.finish(InternalFault("deadline_exceeded", "the platform did not answer in time; the request may be repeated", 503)):
            self.counters["asks_expired"] += 1

    def after(self, delay_s: float, callback: Callable[[], None]) -> None:
        """For who stands before the actors: call back in a pass `delay_s` from now. Never, if a `reset` comes before."""
        self._timers.add(self.clock.now() + max(0.0, delay_s), callback)
        if not self._running:
            self.wake()

    def _refuse(self, ref: Ref, message: Any, ask: Ask | None, fault: Fault, reason: DeadLetterReason) -> bool:
        self.counters[f"refused: {reason}"] += 1
        self.dead_letters.put(message, str(ref), reason, self.clock.now())
        if ask is not None:
            ask.finish(fault)
        return False

    def _post(self, ref: Ref, message: Any) -> None:
        """Queue a system message, activating the actor."""
        if self.halted is not None:
            return
        cell = self._cells.get(ref) or self._activate(ref)
        if cell is not None:
            cell.put_system((message, None))
            self._enqueue(cell)

    def _enqueue(self, cell: Cell) -> None:
        """A message has come: into the ready queue with the cell, unless it stands there, runs, or may not run."""
        if cell.parked:
            cell.parked = False
            self._ready.append(cell)
            if not self._running:
                self.wake()

    def _settle(self, cell: Cell) -> None:
        """A cell that left the ready queue goes on: back into it, or to rest until the next message."""
        if cell.gate or cell.resting is not None:
            return
        if cell.user or cell.system:
            self._ready.append(cell)
            if not self._running:
                self.wake()
        else:
            cell.parked = True

    def _arrived(self) -> None:
        """Something is to be done, or sooner than before; a pass that runs sees it by itself."""
        if not self._running:
            self.wake()

    # --- running -------------------------------------------------------------------------------------------------

    def run(self, budget: int = MESSAGES_PER_PASS) -> bool:
        """Do what can be done now, at most about `budget` messages; True if there is more to do at once."""
        if not self.begin_pass():
            return True
        try:
            if self._ready:
                self._run_ready(budget)
        finally:
            more = self.end_pass()
        return more

    def begin_pass(self) -> bool:
        """Fire timers and act on finished commits; False if a pass is already running. Pair with `end_pass`."""
        if self._running:
            return False
        self._running = True
        try:
            ctx = self._ctx
            clock = self.clock
            now = ctx.now = clock.now()
            ctx.wall = clock.wall()
            timers = self._timers
            if timers.entries and timers.entries[0][0] <= now:
                timers.fire_due(now)
            if self._asks:
                for ask in self._ask_deadlines.overdue(now):
                    self._expire(ask)
            if self._commits.results:
                self._act_on_results()
        except BaseException:
            self._running = False
            raise
        return True

    def end_pass(self) -> bool:
        """Hand gathered turns to the store if it is free; True if there is more to do at once."""
        commits = self._commits
        try:
            if commits.results:
                self._act_on_results()
            while (commits.pending or commits.flush_due) and not commits.committing and self.halted is None:
                commits.submit()
                self._act_on_results()
        finally:
            self._running = False
        if self._unknown is not None:
            # Told only now, so that whoever hears it may reset the engine at once.
            error, self._unknown = self._unknown, None
            self.on_unknown(error)
        return bool(self._ready or commits.results or commits.flush_due) and self.has_ready

    def _run_ready(self, budget: int) -> None:
        ready = self._ready
        if self._scheduler is not None:
            while ready and budget > 0 and (picked := self.pick()) is not None:
                self.execute(*picked)
                budget -= 1
            return
        turn = self._turn
        while ready and budget > 0 and self.halted is None:
            cell = ready.popleft()
            count = 0
            while count < MESSAGES_PER_ACTOR and not cell.gate and cell.resting is None:
                if cell.system:
                    envelope = cell.system.pop(0)
                elif cell.user:
                    envelope = cell.user.pop(0)
                    if cell.waiters:
                        cell.waiters.pop(0)()
                else:
                    break
                count += 1
                turn(cell, envelope)
            budget -= count
            if cell.gate or cell.resting is not None:
                continue
            if cell.user or cell.system:
                ready.append(cell)
            else:
                cell.parked = True

    def pick(self) -> tuple[Cell, Envelope] | None:
        """Take the next (actor, message) by the scheduler; None if nothing may run. Give it back to `execute`."""
        ready = self._ready
        while ready and self.halted is None:
            index = 0 if self._scheduler is None else self._scheduler(len(ready))
            cell = ready[index]
            del ready[index]
            envelope = cell.take()
            if envelope is not None:
                return cell, envelope
            cell.parked = True
        return None

    def execute(self, cell: Cell, envelope: Envelope) -> None:
        """Run one picked message, wherever the driver likes, and queue the actor again if it has more."""
        self._turn(cell, envelope)
        self._settle(cell)

    @property
    def has_ready(self) -> bool:
        """Whether another pass would do something now."""
        commits = self._commits
        return bool(commits.results) or (self.halted is None and bool(self._ready or (commits.flush_due and not commits.committing)))

    def next_timer_at(self) -> float:
        """Monotonic time of the earliest timer or deadline of an open ask, or infinity."""
        entries = self._timers.entries
        at = entries[0][0] if entries and entries[0][2].callback is not None else self._timers.next_at()
        return min(at, self._ask_deadlines.next_at()) if self._asks else at

    # --- one turn ------------------------------------------------------------------------------------------------

    def _turn(self, cell: Cell, envelope: Envelope) -> None:
        message, ask = envelope
        ctx = self._ctx
        actor = cell.actor
        ctx.cell = cell
        ctx.ref = actor.ref
        ctx.ask = ask
        now = cell.used = ctx.now
        handler = cell.handlers.get(type(message))
        if handler is None:
            self._not_understood(cell, message, ask)
            return
        try:
            handler(actor, message, ctx)
        except Exception as error:
            self._crashed(cell, envelope, error)
            return
        if ask is not None and not ctx._deferred and ask not in ctx._answered:
            ctx.answer(ask, InternalFault("internal_error", f"{cell.ref.kind} gave no answer", 500))
        effects = ctx._out
        ring = cell.ring
        if ring is None:
            ring = self._residents.ring(cell)
        # The ring keeps no effects, only their names: what an effect holds would live on for as long as the ring.
        names = tuple([effect[0] for effect in effects]) if effects else ()
        if ctx._special or cell.poisoned is not None:
            self._end_special(cell, envelope, ring, names)
            return
        ring.append((now, ctx.wall, message, "done", names, (), actor.record))
        if effects:
            ctx._out = []
        if self._trace is not None:
            self._trace.turn(now, actor.ref, message, "done", names, effects, actor.record)
            self._perform(cell, effects)
            return
        for _, perform, first, second in effects:
            try:
                perform(first, second)
            except Exception:
                self._effect_failed(cell, effects)

    def _end_special(self, cell: Cell, envelope: Envelope, ring: Ring, names: tuple[str, ...]) -> None:
        """The end of a turn that did more than send."""
        ctx = self._ctx
        message, ask = envelope
        if cell.poisoned is not None and cell.poisoned[0] is envelope:
            cell.poisoned = None
        effects = ctx._out
        outcome = "saved" if ctx._writes else "done"
        ring.append((ctx.now, ctx.wall, message, outcome, names, ctx._draws or (), cell.actor.record))
        if self._trace is not None:
            self._trace.turn(ctx.now, cell.actor.ref, message, outcome, names, effects, ctx.record)
        if ctx._deferred and ask is not None and ask.open:
            cell.hold(ask)
        if ctx._writes:
            self._hold_turn(cell, ask)
            ctx.clear()
        else:
            if ctx._evidence is not None:
                self._evidence(cell, ctx._evidence)
            ctx.clear()
            self._perform(cell, effects)

    def _not_understood(self, cell: Cell, message: Any, ask: Ask | None) -> None:
        if isinstance(message, Due | Resume):
            return
        log.error("message not understood", extra={"ref": str(cell.ref), "handled": type(message).__name__})
        fault = InternalFault("internal_error", f"{cell.ref.kind} does not handle {type(message).__name__}", 500)
        self._refuse(cell.ref, message, ask, fault, "not_understood")

    def _perform(self, cell: Cell, effects: list[Effect]) -> None:
        for effect in effects:
            try:
                effect[1](effect[2], effect[3])
            except Exception:
                self._effect_failed(cell, effects)

    def _effect_failed(self, cell: Cell, effects: list[Effect]) -> None:
        """An effect that cannot leave (a bug) must not keep the others, or the platform, from going on."""
        self.counters["effects_failed"] += 1
        log.exception("an effect failed", extra={"ref": str(cell.ref), "effects": [effect[0] for effect in effects]})

    def _hold_turn(self, cell: Cell, ask: Ask | None) -> None:
        ctx = self._ctx
        evidence = ctx._evidence
        if evidence is None and (cell.dirty or cell.actor.record is None):
            evidence = cell.actor.evidence
        if ctx._removed:
            evidence = None
        if evidence is not None:
            ctx._writes.append(PutEvidence(cell.ref.kind, cell.ref.id, evidence))
        cell.gate = True
        unit = Unit(tuple(ctx._writes))
        self._commits.pending.append(PendingTurn(cell, unit, ctx._out, ctx._new_record, ctx._removed, evidence, ctx._answered, ask))

    # --- evidence ------------------------------------------------------------------------------------------------

    def _evidence(self, cell: Cell, evidence: Any) -> None:
        actor = cell.actor
        actor.evidence = evidence
        if actor.record is None:
            # There is no row to put it beside yet; it goes out together with the first save.
            return
        ref = actor.ref
        self.directory.committed(ref.kind, ref.id, actor.record, evidence)
        self._commits.taint(cell)

    def flush_evidence(self) -> None:
        """Write what is dirty with the next commit, without waiting for its time (before a stop)."""
        if self._commits.flush():
            self._arrived()

    # --- what a commit has made true -----------------------------------------------------------------------------

    def _act_on_results(self) -> None:
        results = self._commits.results
        while results:
            self._acted(*results.popleft())

    def _acted(self, turns: list[PendingTurn], result: BatchResult) -> None:
        """The act step of one batch: first memory follows the disk, then events, then each turn's effects in order."""
        if isinstance(result, Unknown):
            self._halt(result.error)
            return
        events: list[Event] = []
        for turn, outcome in zip(turns, result, strict=False):
            if isinstance(outcome, Committed):
                events += outcome.events
                self._follow(turn)
        if events:
            self.last_cursor = events[-1].cursor
        self._commits.count_refused(result[len(turns) :])
        for listener in self.on_events if events else ():
            try:
                listener(events)
            except Exception:
                self.counters["listeners_failed"] += 1
                log.exception("a listener to events failed")
        for turn, outcome in zip(turns, result, strict=False):
            turn.cell.gate = False
            if isinstance(outcome, Refused):
                self._refused(turn, outcome)
            else:
                self._perform(turn.cell, turn.effects)
            self._settle(turn.cell)

    def _follow(self, turn: PendingTurn) -> None:
        """Bring the actor, the directory and the deadlines to what the turn has committed."""
        cell = turn.cell
        actor = cell.actor
        own = cell.ref
        former = actor.record
        if turn.removed:
            actor.record = actor.evidence = None
            self._commits.clean(cell)
        elif turn.record is not None:
            actor.record = turn.record
        if turn.evidence is not None:
            actor.evidence = turn.evidence
            self._commits.clean(cell)
        if turn.removed or turn.record is not None or turn.evidence is not None:
            self.directory.committed(own.kind, own.id, actor.record, actor.evidence)
            self._rearm(own, former, actor.record)
        for write in turn.unit.writes:
            if isinstance(write, Put) and (write.kind, write.record.id) != own:
                self._rewritten(Ref(write.kind, write.record.id), write.record)
            elif isinstance(write, Delete) and (write.kind, write.id) != own:
                self._rewritten(Ref(write.kind, write.id), None)

    def _rewritten(self, ref: Ref, record: Any) -> None:
        """A row was written by the actor that owns it: whoever stands for the row in memory follows, and keeps its evidence."""
        cell = self._cells.get(ref)
        if cell is not None:
            cell.actor.record = record
        if record is None:
            if cell is not None:
                cell.actor.evidence = None
                self._commits.clean(cell)
            self.directory.committed(ref.kind, ref.id, None, None)
            self._due.set(ref, None)
            return
        if cell is not None:
            self.directory.committed(ref.kind, ref.id, record, cell.actor.evidence)
        else:
            self.directory.rewritten(ref.kind, ref.id, record)
        self._rearm(ref, None, record)

    def _refused(self, turn: PendingTurn, refused: Refused) -> None:
        """The unit was rolled back alone: whoever was to be answered hears why, and the actor goes on from its last record."""
        cell = turn.cell
        self.counters[f"refused: {refused.reason}"] += 1
        if refused.reason == "unique":
            fault: Fault = OperatorFault(refused.code, f"this would collide with an existing {refused.kind} ({refused.key})", 409)
        else:
            fault = InternalFault("internal_error", f"the change was not stored ({refused.reason})", 500)
            log.error("turn refused", extra={"ref": str(cell.ref), "reason": refused.reason, "kind": refused.kind})
        if cell.ring:
            now, wall, message, _, effects, draws, record = cell.ring[-1]
            outcome = f"refused:{refused.code or refused.reason}"
            cell.ring[-1] = (now, wall, message, outcome, effects, draws, record)
            if self._trace is not None:
                self._trace.turn(now, cell.ref, message, outcome, (), (), cell.actor.record)
        for ask in dict.fromkeys([*turn.answered, *([turn.ask] if turn.ask is not None else [])]):
            self.resolve(ask, fault)
        self._renew(cell)

    def _halt(self, error: str) -> None:
        """What is on the disk is not known: nothing may be answered from memory any more, and no actor runs until `reset`."""
        if self.halted is not None:
            return
        log.critical("commit outcome unknown; the platform's actors stop", extra={"error": error})
        self.halted = error
        fault = InternalFault(
            "unavailable", "the platform's storage failed; whether the change was made is not known, so look before you repeat it", 503,
            retry_after_s=1.0,
        )  # fmt: skip
        for ask in list(self._asks):
            ask.finish(fault)
        if not self._running:
            self.on_unknown(error)
        else:
            self._unknown = error

    # --- volatile effects ----------------------------------------------------------------------------------------

    def arm(self, cell: Cell, what: tuple[str, float, Any]) -> None:
        """Set a volatile timer (see `Context.after`)."""
        key, delay_s, message = what
        if cell.timers is None:
            cell.timers = {}
        former = cell.timers.pop(key, None)
        if former is not None:
            former.cancel()

        arrival: ArmedMessage
        if hasattr(cell.handlers.get(type(message)), "__spared_while__"):
            arrival = ArmedLook(self._arrive, cell, key, message, delay_s, self._spare)
        else:
            arrival = ArmedMessage(self._arrive, cell, key, message)
        cell.timers[key] = self._timers.add(self.clock.now() + max(0.0, delay_s), arrival)
        if not self._running:
            self.wake()

    def _spare(self, look: ArmedLook) -> bool:
        """Arm a look again in place of its turn, if its actor is at rest and says that it would do nothing else (see `spared_while`)."""
        cell = look.cell
        quiet = getattr(cell.handlers.get(type(look.message)), "__spared_while__", None)
        if quiet is None or not cell.parked or cell.timers is None:
            return False
        try:
            spared = quiet(cell.actor, self._ctx)
        except Exception:
            # The turn itself shows what is wrong.
            log.exception("an actor could not tell whether there is something to do", extra={"ref": str(cell.ref)})
            return False
        if spared:
            cell.timers[look.key] = self._timers.add(self._ctx.now + look.period_s, look)
        return bool(spared)

    def disarm(self, cell: Cell, key: str) -> None:
        """Cancel a volatile timer."""
        timer = None if cell.timers is None else cell.timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def port(self, request: type) -> PortStart:
        """The port that takes requests of this type.

        Raises:
            KeyError: there is none.
        """
        return self._ports[request]

    def start_call(self, cell: Cell, what: tuple[Any, type[CallResult], Any]) -> None:
        """Start a port call (see `Context.call`)."""
        request, then, tag = what
        # Numbers are never used twice, and a restart forgets the open ones, so that the number also stands for the incarnation.
        self._operation += 1
        operation = self._operation
        if cell.calls is None:
            cell.calls = set()
        cell.calls.add(operation)

        def done(outcome: Any) -> None:
            if not cell.calls or operation not in cell.calls:
                self.counters["stale_results"] += 1
                self.dead_letters.put(outcome, str(cell.ref), "stale", self.clock.now(), str(operation))
                return
            cell.calls.discard(operation)
            if not cell.calls:
                # An empty set weighs more than all the rest of most cells.
                cell.calls = None
            cell.put_system((then(outcome, tag), None))
            self._enqueue(cell)

        start = self._ports.get(type(request))
        answer = self._late(done) if self.buggify(PORT_SLOW) else done
        try:
            if start is None:
                raise LookupError(f"no port takes {type(request).__name__}")
            start(request, answer)
        except Exception as error:
            log.exception("a port call could not start", extra={"ref": str(cell.ref), "request": type(request).__name__})
            done(InternalFault("internal_error", f"the call could not start: {type(error).__name__}", 500))

    def _late(self, done: Callable[[Any], None]) -> Callable[[Any], None]:
        delay_s = self.randomness.stream("buggify").uniform(0.0, PORT_SLOW_MAX_S)

        def later(outcome: Any) -> None:
            self._timers.add(self.clock.now() + delay_s, lambda: done(outcome))
            if not self._running:
                self.wake()

        return later

    # --- entering memory, starting afresh ------------------------------------------------------------------------

    def _activate(self, ref: Ref) -> Cell | None:
        """Bring an actor into memory; None if the store cannot be read, which stops everything."""
        actor_type = self._actors[ref.kind]
        try:
            row = self.store.load(ref.kind, ref.id) if actor_type.kind is not None else None
        except StoreError as error:
            self._halt(str(error))
            return None
        actor = actor_type()
        actor.ref = ref
        actor.record = None if row is None else row.record
        actor.evidence = None if row is None else row.evidence
        cell = Cell(actor, self.clock.now())
        self._residents.enter(cell)
        if row is not None:
            self._residents.note_start(cell)
            cell.put_system(_ACTIVATION)
            self._enqueue(cell)
        return cell

    def _renew(self, cell: Cell) -> None:
        """Start the actor afresh from its committed record: volatile state, open calls and held asks are lost."""
        for ask in list(cell.asks or ()):
            ask.finish(unavailable("the operation under way"))
        for timer in (cell.timers or {}).values():
            timer.cancel()
        cell.asks = cell.timers = cell.calls = None
        former = cell.actor
        actor = type(former)()
        actor.ref, actor.record, actor.evidence = former.ref, former.record, former.evidence
        cell.actor = actor
        if actor.record is not None:
            self._residents.note_start(cell)
            cell.put_back(_ACTIVATION)

    def passivate(self, ref: Ref) -> bool:
        """Let an idle actor leave memory now; False if it holds work or is not in memory."""
        return self._residents.passivate(ref)

    # --- crashes -------------------------------------------------------------------------------------------------

    def _crashed(self, cell: Cell, envelope: Envelope, error: Exception) -> None:
        ctx = self._ctx
        message, ask = envelope
        ring = self._residents.ring(cell)
        outcome = f"crashed:{type(error).__name__}"
        ring.append((ctx.now, ctx.wall, message, outcome, (), ctx._draws or (), cell.actor.record))
        if self._trace is not None:
            self._trace.turn(ctx.now, cell.ref, message, outcome, (), (), cell.actor.record)
        ctx.clear()
        self.counters["crashes"] += 1
        poison = self._count_crash(cell, envelope)
        crash = Crash(cell.ref, message, error, poison, tuple(recorded(entry) for entry in ring))
        self.crashes.append(crash)
        log.error("handler raised", extra={"ref": str(cell.ref), "handled": type(message).__name__, "poison": poison}, exc_info=error)
        forget_locals(error)
        decision = self._policy.crashed(crash)
        if poison:
            fault = InternalFault("internal_error", "the platform failed on this request; it was not carried out", 500)
            self._refuse(cell.ref, message, ask, fault, "poison")
        elif envelope is not _ACTIVATION:
            cell.put_back(envelope)
        self._renew(cell)
        self._rest(cell, decision)

    def _count_crash(self, cell: Cell, envelope: Envelope) -> bool:
        """Whether this message has crashed its handler too often. Activation is no message: it is never given up."""
        if envelope is _ACTIVATION:
            return False
        before = cell.poisoned[1] if cell.poisoned is not None and cell.poisoned[0] is envelope else 0
        poison = before + 1 >= CRASHES_TO_DEAD_LETTER
        cell.poisoned = None if poison else (envelope, before + 1)
        return poison

    def _rest(self, cell: Cell, decision: RestartAfter | QuarantineFor) -> None:
        if isinstance(decision, QuarantineFor):
            for message, ask in cell.drain():
                if message is not _ACTIVATED:
                    self._refuse(cell.ref, message, ask, unavailable("this object", quarantined=True), "quarantined")
            if cell.actor.record is not None:
                cell.put_back(_ACTIVATION)
            cell.poisoned = None
            cell.quarantine()
        delay_s = decision.duration_s if isinstance(decision, QuarantineFor) else decision.delay_s
        if delay_s > 0:
            cell.resting = self._timers.add(self.clock.now() + delay_s, lambda: self._end_rest(cell))
        else:
            cell.open_up()

    def _end_rest(self, cell: Cell) -> None:
        cell.resting = None
        cell.open_up()
        self._settle(cell)

    def lift(self, ref: Ref) -> bool:
        """End the rest or quarantine of an actor now; False if there is none."""
        cell = self._cells.get(ref)
        if cell is None or cell.resting is None:
            return False
        cell.resting.cancel()
        self._end_rest(cell)
        return True

    # --- durable deadlines ---------------------------------------------------------------------------------------

    def _rearm(self, ref: Ref, former: Any, record: Any) -> None:
        kind = self._kinds.get(ref.kind)
        if kind is None:
            return
        at = None if record is None else kind.due(record)
        # A deadline that fired and was left as it is keeps its repetition; armed anew it would fire at once, again and again.
        if at is None or former is None or kind.due(former) != at:
            self._due.set(ref, at)

    def look_again(self, cell: Cell, delay_s: float) -> None:
        """Tell a deadline of this actor that has come, and was left as it is, again after `delay_s`."""
        self._due.look_again(cell.ref, delay_s)

    def _knows_due(self, ref: Ref) -> bool:
        cell = self._cells.get(ref)
        return cell is not None and bool(cell.system) and any(isinstance(message, Due) for message, _ in cell.system or ())

    def _tell_due(self, ref: Ref) -> None:
        self._post(ref, Due())

    # --- looking in ----------------------------------------------------------------------------------------------

    def history(self, ref: Ref) -> tuple[Recorded, ...]:
        """The flight recorder's ring of one actor, oldest first; empty if nothing is kept."""
        return self._residents.history(ref)

    def recorded_actors(self) -> list[Ref]:
        """Every actor of which the flight recorder keeps something, in order of their addresses."""
        return self._residents.recorded()

    def state(self, ref: Ref) -> dict[str, Any]:
        """Where an actor stands now: in memory or not, mailbox depth, open work."""
        return self._residents.state(ref)

    def known(self, kind: str) -> bool:
        """Whether there are actors of this kind."""
        return kind in self._actors

    def swap_actors(self, kind: str, actor_type: type[Actor]) -> None:
        """Let the actors of a kind handle messages by the table of another class from now on; those in memory keep their state."""
        self._actors[kind] = actor_type
        for ref, cell in self._cells.items():
            if ref.kind == kind:
                cell.handlers = actor_type.handlers

    @property
    def resets(self) -> int:
        """How often it has forgotten everything volatile and gone on with a reopened store."""
        return self._epoch

    @property
    def in_memory(self) -> Iterable[Ref]:
        return self._cells.keys()

    def holds_work(self, ref: Ref) -> bool:
        """Whether an actor in memory says that it has work of its own to finish."""
        cell = self._cells.get(ref)
        return cell is not None and cell.actor.holds_work()

    @property
    def open_asks(self) -> int:
        """How many asks have no answer yet."""
        return len(self._asks)

    @property
    def quiescent(self) -> bool:
        """Nothing to run, nothing being committed, no ask waiting for a turn: only timers and ports can bring news."""
        commits = self._commits
        return not (self._ready or commits.pending or commits.results or commits.committing)


_ACTIVATED = Activated()
_ACTIVATION: Envelope = (_ACTIVATED, None)


def _full(ref: Ref) -> Fault:
    return InternalFault("mailbox_full", f"{ref.kind} has too much work queued; try again shortly", 503, retry_after_s=1.0)
