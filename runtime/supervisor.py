"""The supervision engine: Erlang/OTP's `supervisor`, pure and synchronous, with backoff and quarantine added.

Lives here: every decision about starting, restarting, stopping and giving up. Must not live here: tasks, threads, sleeping or
logging; effects go through a `SupervisorHost`, so that the actor engine, trio tasks and tests can each be the host.

    new ──start──► running ──excess──► quarantined ──duration or lift──► running
                      │                     │
                      └── stop, excess, failed start, auto shutdown ──► ending ──last child down──► ended

Where this differs from OTP, on purpose: a supervisor that exceeds its intensity ends with an error, so that a transient one is
restarted by its parent; a child that crashes while others are still being restarted is dealt with at once, not after them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

from runtime.supervision import (
    LAST_MESSAGES_MAX,
    AutoShutdown,
    Backoff,
    Cancellable,
    ChildSpec,
    ChildState,
    CrashReport,
    Decision,
    Notice,
    Quarantine,
    Restart,
    Shutdown,
    Strategy,
    SupervisorEnd,
    SupervisorHost,
    SupervisorSpec,
    describe,
)

__all__ = [
    "AutoShutdown",
    "Backoff",
    "Cancellable",
    "ChildSpec",
    "ChildState",
    "CrashReport",
    "Decision",
    "DynamicSupervisor",
    "Notice",
    "OrderedSupervisor",
    "Quarantine",
    "Restart",
    "Shutdown",
    "Strategy",
    "Supervisor",
    "SupervisorEnd",
    "SupervisorHost",
    "SupervisorSpec",
    "describe",
    "make_supervisor",
]

Phase = Literal["new", "running", "quarantined", "ending", "ended"]
# What becomes of a child once it has stopped: it starts again in its turn, stays down, or is forgotten.
Fate = Literal["queue", "down", "forget"]

_LIVE = frozenset({"starting", "up", "stopping"})


class _Child:
    """One child as its supervisor sees it. Slotted and without containers of its own until it crashes: there may be many."""

    __slots__ = ("fate", "nested", "proven", "restarts", "spec", "state", "timer")

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.state: ChildState = "down"
        self.fate: Fate | None = None
        self.proven = False
        self.timer: Cancellable | None = None
        self.nested: Supervisor | None = None
        self.restarts: list[tuple[float, str]] | None = None

    def disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Supervisor(ABC):
    """What both kinds of supervisor share: the inbox of reports, counting, and the way to the end.

    Every entry point only queues its event if another one is being handled, so that a host may report from within a call that the
    engine made to it.
    """

    def __init__(
        self,
        name: str,
        spec: SupervisorSpec,
        host: SupervisorHost,
        *,
        on_ready: Callable[[], None],
        on_end: Callable[[SupervisorEnd], None],
    ) -> None:
        self.name = name
        self.spec = spec
        self._host = host
        self._on_ready = on_ready
        self._on_end = on_end
        self._phase: Phase = "new"
        self._ready = False
        self._children: dict[str, _Child] = {}
        self._live = 0
        self._significant = 0
        self._auto_shutdown_due = False
        self._restarts: list[tuple[float, str]] = []
        self._end = SupervisorEnd("stopped")
        self._brutal = False
        self._patience: Cancellable | None = None
        self._inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._busy = False

    # --- what owners and hosts call ---

    @property
    def phase(self) -> Phase:
        """Where in its life the supervisor is; see the picture at the top of this file."""
        return self._phase

    def states(self) -> dict[str, ChildState]:
        """Every child that it knows, with its state, in start order."""
        return {child_id: child.state for child_id, child in self._children.items()}

    def start(self) -> None:
        """Start the children; `on_ready` is called once all have started, `on_end` if they cannot. Call once."""
        self._enter(self._start)

    def stop(self, shutdown: Shutdown = "infinity") -> None:
        """Stop all children, then call `on_end`. A number limits the whole to that many seconds; after it the rest is stopped brutally."""
        self._enter(self._stop, shutdown)

    def started(self, child_id: str) -> None:
        """The host says: the child is ready for work."""
        self._enter(self._child_started, child_id)

    def ended(self, child_id: str, error: str | None = None, last_messages: Iterable[Any] = ()) -> None:
        """The host says: the child is gone, for whatever reason; `error` is None if it left in peace."""
        self._enter(self._child_ended, child_id, error, tuple(last_messages)[-LAST_MESSAGES_MAX:])

    @abstractmethod
    def lift(self, child_id: str | None = None) -> bool:
        """End a quarantine now, of one dynamic child or (None) of an ordered supervisor. False if there is none to end."""

    # --- events, one at a time ---

    def _enter(self, act: Callable[..., None], *arguments: Any) -> None:
        self._inbox.append((act, arguments))
        if self._busy:
            return
        self._busy = True
        try:
            while self._inbox:
                act, arguments = self._inbox.popleft()
                act(*arguments)
        finally:
            self._busy = False

    def _start(self) -> None:
        if self._phase != "new":
            raise RuntimeError(f"supervisor {self.name} was started twice")
        self._phase = "running"
        for spec in self.spec.children:
            self._adopt(spec)
        if not self._children:
            self._become_ready()
        self._advance()

    def _stop(self, shutdown: Shutdown) -> None:
        if self._phase == "ended":
            return
        if shutdown == "brutal":
            self._hurry()
        elif shutdown != "infinity" and self._patience is None:
            self._patience = self._host.schedule(shutdown, partial(self._enter, self._hurry))
        if self._phase != "ending":
            self._begin_end(SupervisorEnd("stopped"))
        self._advance()

    def _hurry(self) -> None:
        self._brutal = True
        for child in reversed(self._children.values()):
            if child.state == "stopping":
                self._tell_to_stop(child)

    def _child_started(self, child_id: str) -> None:
        child = self._children.get(child_id)
        if child is None or child.state not in ("starting", "stopping"):
            raise RuntimeError(f"{self.name}: {child_id!r} reported a start that nobody asked for")
        if child.state == "starting":
            child.proven = True
            self._set(child, "up")
            self._settled(child, None)
        self._advance()

    def _child_ended(self, child_id: str, error: str | None, last_messages: tuple[Any, ...]) -> None:
        child = self._children.get(child_id)
        if child is None or child.state not in _LIVE:
            raise RuntimeError(f"{self.name}: {child_id!r} reported an end, but it does not live")
        child.nested = None
        if child.fate is not None:
            if error is not None:
                self._report(child, error, last_messages, "already_stopping")
            self._meet_fate(child, child.fate)
        elif child.state == "starting":
            self._start_failed(child, error or "ended before it was ready", last_messages)
        else:
            self._exited(child, error, last_messages)
        self._advance()

    # --- decisions ---

    def _start_failed(self, child: _Child, error: str, last_messages: tuple[Any, ...]) -> None:
        if child.proven or not self._first_start_decides():
            self._exited(child, error, last_messages)
            return
        self._report(child, error, last_messages, "fail")
        self._leave(child)
        self._settled(child, error)

    def _exited(self, child: _Child, error: str | None, last_messages: tuple[Any, ...]) -> None:
        if child.spec.wants_restart(error is not None):
            self._restart(child, error or "exited normally", last_messages)
            return
        if error is not None:
            self._report(child, error, last_messages, "stay_down")
        self._leave(child)
        self._consider_auto_shutdown(child)

    def _restart(self, child: _Child, error: str, last_messages: tuple[Any, ...]) -> None:
        window = self._record_restart(child)
        if len(window) <= self.spec.intensity:
            restarts_of_child = sum(1 for _, child_id in window if child_id == child.spec.id)
            delay_s = self.spec.backoff.delay_s(restarts_of_child, self._host.random)
            self._report(child, error, last_messages, "restart", len(window), delay_s)
            self._restart_after(child, delay_s)
        elif isinstance(self.spec.on_excess, Quarantine):
            self._report(child, error, last_messages, "quarantine", len(window))
            self._quarantine(child, self.spec.on_excess.duration_s)
        else:
            self._report(child, error, last_messages, "escalate", len(window))
            self._leave(child)
            limit = f"more than {self.spec.intensity} restarts within {self.spec.period_s:g} s"
            self._begin_end(SupervisorEnd("escalated", f"{limit}; last was {child.spec.id!r}: {error}"))

    def _record_restart(self, child: _Child) -> list[tuple[float, str]]:
        """The restarts that count now, this one included; as in OTP, one made exactly a period ago still counts."""
        now = self._host.now()
        window = [entry for entry in self._window(child) if now <= entry[0] + self.spec.period_s]
        window.append((now, child.spec.id))
        self._keep_window(child, window)
        return window

    def _window(self, child: _Child) -> list[tuple[float, str]]:
        return self._restarts

    def _keep_window(self, child: _Child, window: list[tuple[float, str]]) -> None:
        self._restarts = window

    def _consider_auto_shutdown(self, child: _Child) -> None:
        rule = self.spec.auto_shutdown
        if rule == "never" or not child.spec.significant or (rule == "all_significant" and self._significant):
            return
        self._auto_shutdown_due = True
        if self._ready and self._phase != "ending":
            self._begin_end(SupervisorEnd("auto_shutdown"))

    def _become_ready(self) -> None:
        self._ready = True
        self._notice("ready")
        self._on_ready()
        if self._auto_shutdown_due:
            self._begin_end(SupervisorEnd("auto_shutdown"))

    def _begin_end(self, end: SupervisorEnd) -> None:
        self._phase = "ending"
        self._end = end
        self._condemn_all()

    def _condemn_all(self) -> None:
        for child in self._children.values():
            child.disarm()
            if child.state in _LIVE:
                child.fate = "down"
            else:
                self._set(child, "down")

    def _finish(self) -> None:
        self._phase = "ended"
        if self._patience is not None:
            self._patience.cancel()
        self._notice("ended", detail=self._end.error or self._end.reason)
        self._on_end(self._end)

    # --- what differs between ordered and dynamic ---

    @abstractmethod
    def _advance(self) -> None:
        """Take the next steps that the present states allow."""

    @abstractmethod
    def _first_start_decides(self) -> bool:
        """Whether a child that has never been up gets no second try."""

    @abstractmethod
    def _settled(self, child: _Child, error: str | None) -> None:
        """A child is up, or (`error`) its first start failed for good."""

    @abstractmethod
    def _leave(self, child: _Child) -> None:
        """The child is gone and will not be restarted on its own account."""

    @abstractmethod
    def _meet_fate(self, child: _Child, fate: Fate) -> None:
        """The child has stopped as it was told to, or was about to be told."""

    @abstractmethod
    def _restart_after(self, child: _Child, delay_s: float) -> None:
        """Apply the strategy to a child that is gone."""

    @abstractmethod
    def _quarantine(self, child: _Child, duration_s: float) -> None:
        """Keep down what crashed too often."""

    # --- small steps ---

    def _adopt(self, spec: ChildSpec) -> _Child:
        child = self._children[spec.id] = _Child(spec)
        self._set(child, "queued")
        return child

    def _forget(self, child: _Child) -> None:
        self._set(child, "down")
        del self._children[child.spec.id]

    def _set(self, child: _Child, state: ChildState) -> None:
        before, child.state = child.state, state
        self._live += (state in _LIVE) - (before in _LIVE)
        if child.spec.significant:
            self._significant += (state != "down") - (before != "down")

    def _launch(self, child: _Child) -> None:
        self._set(child, "starting")
        start = child.spec.start
        if isinstance(start, SupervisorSpec):
            child_id = child.spec.id
            child.nested = make_supervisor(
                f"{self.name}/{child_id}",
                start,
                self._host,
                on_ready=partial(self.started, child_id),
                on_end=partial(self._nested_ended, child_id),
            )
            child.nested.start()
        else:
            self._host.start_child(self, child.spec)

    def _nested_ended(self, child_id: str, end: SupervisorEnd) -> None:
        self.ended(child_id, end.error)

    def _halt(self, child: _Child) -> None:
        self._set(child, "stopping")
        self._tell_to_stop(child)

    def _tell_to_stop(self, child: _Child) -> None:
        shutdown: Shutdown = "brutal" if self._brutal else child.spec.shutdown
        if child.nested is not None:
            child.nested.stop(shutdown)
        else:
            self._host.stop_child(self, child.spec.id, shutdown)

    def _arm(self, child: _Child, delay_s: float, act: Callable[[_Child], None]) -> None:
        child.timer = self._host.schedule(delay_s, partial(self._enter, act, child))

    def _report(
        self,
        child: _Child,
        error: str,
        last_messages: tuple[Any, ...],
        decision: Decision,
        restarts: int = 0,
        delay_s: float = 0.0,
    ) -> None:
        self._host.report(CrashReport(self.name, child.spec.id, error, self._host.now(), restarts, decision, delay_s, last_messages))

    def _notice(self, what: Literal["ready", "quarantined", "released", "ended"], child: str | None = None, detail: str = "") -> None:
        self._host.report(Notice(self.name, what, self._host.now(), child, detail))


class OrderedSupervisor(Supervisor):
    """`one_for_one`, `one_for_all` and `rest_for_one`: children start left to right and stop right to left, one after the other.

    Meant for a handful of children: each event looks at all of them.
    """

    def __init__(
        self,
        name: str,
        spec: SupervisorSpec,
        host: SupervisorHost,
        *,
        on_ready: Callable[[], None],
        on_end: Callable[[SupervisorEnd], None],
    ) -> None:
        super().__init__(name, spec, host, on_ready=on_ready, on_end=on_end)
        self._alone = spec.strategy == "one_for_one"
        self._pause: Cancellable | None = None
        self._release_due = False

    def lift(self, child_id: str | None = None) -> bool:
        if child_id is not None or self._phase != "quarantined":
            return False
        self._enter(self._release)
        return True

    def _advance(self) -> None:
        if self._phase == "ended" or self._stop_next():
            return
        if self._phase == "ending":
            self._finish()
            return
        if self._phase == "quarantined" and self._release_due:
            self._begin_again()
        if self._phase == "running" and self._pause is None:
            self._start_next()

    def _stop_next(self) -> bool:
        """Stop the rightmost condemned child, unless one is stopping already. False if none is left to wait for."""
        if any(child.state == "stopping" for child in self._children.values()):
            return True
        for child in reversed(self._children.values()):
            if child.fate is not None:
                self._halt(child)
                return True
        return False

    def _start_next(self) -> None:
        """Start the leftmost queued child unless a former one is still starting; lone restarts wait for nobody."""
        blocked = any(child.state == "starting" and not (self._alone and child.proven) for child in self._children.values())
        for child in list(self._children.values()):
            if child.state == "due":
                self._launch(child)
            elif child.state == "queued" and not blocked:
                blocked = True
                self._launch(child)

    def _first_start_decides(self) -> bool:
        return not self._ready

    def _settled(self, child: _Child, error: str | None) -> None:
        if error is not None:
            self._begin_end(SupervisorEnd("start_failed", f"{child.spec.id!r} failed to start: {error}"))
        elif not self._ready and all(other.proven for other in self._children.values()):
            self._become_ready()

    def _leave(self, child: _Child) -> None:
        if child.spec.restart == "temporary":
            self._forget(child)
        else:
            self._set(child, "down")

    def _meet_fate(self, child: _Child, fate: Fate) -> None:
        child.fate = None
        if fate == "forget":
            self._forget(child)
        else:
            self._set(child, "queued" if fate == "queue" else "down")

    def _restart_after(self, child: _Child, delay_s: float) -> None:
        if self._alone:
            self._set(child, "waiting" if delay_s else "due")
            if delay_s:
                self._arm(child, delay_s, self._wait_over)
            return
        for other in self._affected(child):
            if other is child or other.state not in _LIVE:
                self._set(other, "queued")
            else:
                other.fate = "forget" if other.spec.restart == "temporary" else "queue"
        self._end_pause()
        if delay_s:
            self._pause = self._host.schedule(delay_s, partial(self._enter, self._pause_over))

    def _affected(self, child: _Child) -> list[_Child]:
        siblings = list(self._children.values())
        return siblings[siblings.index(child) :] if self.spec.strategy == "rest_for_one" else siblings

    def _wait_over(self, child: _Child) -> None:
        if child.state == "waiting":
            child.timer = None
            self._set(child, "due")
            self._advance()

    def _pause_over(self) -> None:
        self._pause = None
        self._advance()

    def _end_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _condemn_all(self) -> None:
        self._end_pause()
        super()._condemn_all()

    def _quarantine(self, child: _Child, duration_s: float) -> None:
        self._leave(child)
        self._phase = "quarantined"
        self._release_due = False
        self._condemn_all()
        self._notice("quarantined", detail=f"for {duration_s:g} s")
        self._pause = self._host.schedule(duration_s, partial(self._enter, self._release))
        if not self._ready:
            self._become_ready()

    def _release(self) -> None:
        if self._phase == "quarantined":
            self._end_pause()
            self._release_due = True
            self._advance()

    def _begin_again(self) -> None:
        self._phase = "running"
        self._restarts = []
        for child in list(self._children.values()):
            self._forget(child)
        for spec in self.spec.children:
            self._adopt(spec)
        self._notice("released")


class DynamicSupervisor(Supervisor):
    """Children that come and go one by one, all of them independent; no event looks at more than one child."""

    def __init__(
        self,
        name: str,
        spec: SupervisorSpec,
        host: SupervisorHost,
        *,
        on_ready: Callable[[], None],
        on_end: Callable[[SupervisorEnd], None],
    ) -> None:
        super().__init__(name, spec, host, on_ready=on_ready, on_end=on_end)
        self._counts_apart = isinstance(spec.on_excess, Quarantine)
        self._askers: dict[str, Callable[[str | None], None]] = {}

    def __len__(self) -> int:
        return len(self._children)

    def __contains__(self, child_id: str) -> bool:
        return child_id in self._children

    def add_child(self, spec: ChildSpec, done: Callable[[str | None], None] | None = None) -> None:
        """Start one more child. `done` gets None once it is up, or the error; a child whose first start fails is forgotten.

        Raises:
            ValueError: the id is in use (also while that child is stopping), or the specification does not fit this supervisor.
            RuntimeError: the supervisor is not running.
        """
        if self._phase != "running":
            raise RuntimeError(f"supervisor {self.name} takes no children: it is {self._phase}")
        if spec.id in self._children:
            raise ValueError(f"{self.name}: child {spec.id!r} exists already")
        self.spec.check(spec)
        if done is not None:
            self._askers[spec.id] = done
        self._enter(self._start_queued, self._adopt(spec))

    def remove_child(self, child_id: str) -> bool:
        """Stop a child for good and forget it. False if there is no such child."""
        child = self._children.get(child_id)
        if child is None:
            return False
        self._enter(self._remove, child)
        return True

    def lift(self, child_id: str | None = None) -> bool:
        child = None if child_id is None else self._children.get(child_id)
        if child is None or child.state != "quarantined":
            return False
        self._enter(self._release, child)
        return True

    def _start_queued(self, child: _Child) -> None:
        if child.state == "queued":
            self._launch(child)

    def _remove(self, child: _Child) -> None:
        child.disarm()
        if child.state not in _LIVE:
            if self._children.get(child.spec.id) is child:
                self._drop(child, "removed before it was up")
            return
        child.fate = "forget"
        if child.state != "stopping":
            self._halt(child)

    def _drop(self, child: _Child, error: str | None) -> None:
        self._forget(child)
        self._answer(child, error)

    def _answer(self, child: _Child, error: str | None) -> None:
        asker = self._askers.pop(child.spec.id, None)
        if asker is not None:
            asker(error)

    def _advance(self) -> None:
        if self._phase == "ending" and not self._live:
            self._finish()

    def _condemn_all(self) -> None:
        for child in list(reversed(self._children.values())):
            self._remove(child)

    def _first_start_decides(self) -> bool:
        return True

    def _settled(self, child: _Child, error: str | None) -> None:
        self._answer(child, error)

    def _leave(self, child: _Child) -> None:
        self._forget(child)

    def _meet_fate(self, child: _Child, fate: Fate) -> None:
        self._drop(child, "stopped before it was up")

    def _window(self, child: _Child) -> list[tuple[float, str]]:
        return (child.restarts or []) if self._counts_apart else self._restarts

    def _keep_window(self, child: _Child, window: list[tuple[float, str]]) -> None:
        if self._counts_apart:
            child.restarts = window
        else:
            self._restarts = window

    def _restart_after(self, child: _Child, delay_s: float) -> None:
        self._set(child, "waiting")
        if delay_s:
            self._arm(child, delay_s, self._wait_over)
        else:
            self._launch(child)

    def _wait_over(self, child: _Child) -> None:
        if child.state == "waiting":
            child.timer = None
            self._launch(child)

    def _quarantine(self, child: _Child, duration_s: float) -> None:
        self._set(child, "quarantined")
        self._notice("quarantined", child.spec.id, f"for {duration_s:g} s")
        self._arm(child, duration_s, self._release)

    def _release(self, child: _Child) -> None:
        if child.state == "quarantined":
            child.disarm()
            child.restarts = None
            self._notice("released", child.spec.id)
            self._launch(child)


def make_supervisor(
    name: str,
    spec: SupervisorSpec,
    host: SupervisorHost,
    *,
    on_ready: Callable[[], None] = lambda: None,
    on_end: Callable[[SupervisorEnd], None] = lambda end: None,
) -> Supervisor:
    """The supervisor for `spec`, not yet started.

    Args:
        name: its path in the tree, for reports.
        on_ready: called once, when all children have started (under `Quarantine` also when they crashed too often before that).
        on_end: called once, when the supervisor has ended and none of its children lives.
    """
    kind = DynamicSupervisor if spec.strategy == "dynamic" else OrderedSupervisor
    return kind(name, spec, host, on_ready=on_ready, on_end=on_end)
