"""The vocabulary of supervision: what is supervised, by which rules, through whom, and what is said about it.

Lives here: frozen specifications, reports, and the protocol of a host. Must not live here: any decision (see `supervisor`).
The terms and their meaning are those of Erlang/OTP's `supervisor` behaviour.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from runtime.values import Value

if TYPE_CHECKING:
    from runtime.supervisor import Supervisor

Restart = Literal["permanent", "transient", "temporary"]
Shutdown = float | Literal["brutal", "infinity"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one", "dynamic"]
AutoShutdown = Literal["never", "any_significant", "all_significant"]
ChildState = Literal["queued", "starting", "up", "stopping", "waiting", "due", "down", "quarantined"]
Decision = Literal["restart", "stay_down", "quarantine", "escalate", "fail", "already_stopping"]

WORKER_SHUTDOWN_S = 5.0
ERROR_TEXT_CHARS_MAX = 500
LAST_MESSAGES_MAX = 64
_DOUBLINGS_MAX = 60


@attrs.frozen
class Backoff:
    """Exponential backoff with full jitter: the ceiling doubles, the delay is uniform below it.

    The first restart is immediate; a second one within the period waits up to `base_s`, a third up to twice that, never more
    than `cap_s`. `base_s` 0 turns the backoff off.
    """

    base_s: float = 0.1
    cap_s: float = 10.0

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.base_s <= self.cap_s:
            raise ValueError(f"a backoff needs 0 <= base_s <= cap_s, not {self.base_s} and {self.cap_s}")

    def ceiling_s(self, restarts: int) -> float:
        """The longest delay before restart number `restarts` (from 1) of one child within the period."""
        if restarts <= 1:
            return 0.0
        return min(self.cap_s, self.base_s * 2.0 ** min(restarts - 2, _DOUBLINGS_MAX))

    def delay_s(self, restarts: int, chance: random.Random) -> float:
        """The delay to use; draws from `chance` only where the ceiling is not 0."""
        ceiling_s = self.ceiling_s(restarts)
        return chance.uniform(0.0, ceiling_s) if ceiling_s else 0.0


@attrs.frozen
class Quarantine:
    """On excess, keep what crashes down for `duration_s` and then try again, instead of giving up."""

    duration_s: float

    def __attrs_post_init__(self) -> None:
        if self.duration_s <= 0:
            raise ValueError(f"a quarantine must last longer than {self.duration_s} s")


def _usual_shutdown(spec: ChildSpec) -> Shutdown:
    return "infinity" if spec.kind == "supervisor" else WORKER_SHUTDOWN_S


@attrs.frozen(weakref_slot=False)
class ChildSpec:
    """How one child is started, restarted and stopped.

    Attributes:
        id: unique among its siblings.
        start: what the host needs to start it; a `SupervisorSpec` makes the child a supervisor, which the engine runs itself.
        restart: `permanent` always, `transient` only after an error, `temporary` never.
        shutdown: seconds that it gets to stop, `brutal` for none, `infinity` without limit. 5 s for a worker, no limit for a
            supervisor, which has the limits of its own children.
        significant: its final exit may end the supervisor, see `SupervisorSpec.auto_shutdown`.
    """

    id: str
    start: Any = attrs.field(repr=False)
    restart: Restart = "permanent"
    shutdown: Shutdown = attrs.field(default=attrs.Factory(_usual_shutdown, takes_self=True))
    significant: bool = False

    @property
    def kind(self) -> Literal["worker", "supervisor"]:
        """Whether the child is itself a supervisor."""
        return "supervisor" if isinstance(self.start, SupervisorSpec) else "worker"

    def __attrs_post_init__(self) -> None:
        if self.significant and self.restart == "permanent":
            raise ValueError(f"child {self.id!r}: a permanent child cannot be significant, because it has no final exit")
        if not isinstance(self.shutdown, str) and self.shutdown < 0:
            raise ValueError(f"child {self.id!r}: shutdown must not be negative")

    def wants_restart(self, failed: bool) -> bool:
        """Whether an exit that nobody asked for calls for a restart."""
        return self.restart == "permanent" or (self.restart == "transient" and failed)


@attrs.frozen
class SupervisorSpec:
    """The rules of one supervisor.

    Attributes:
        strategy: `one_for_one` restarts what crashed, `one_for_all` all children, `rest_for_one` what crashed and all that
            started after it; `dynamic` has children that come and go one by one.
        children: in start order; none for `dynamic`.
        intensity, period_s: that many restarts are allowed within any `period_s` seconds, one more is excess.
        backoff: delays between restarts of the same child within the period.
        on_excess: `escalate` stops all children and fails towards the parent. `Quarantine` stops and later starts again: under
            `dynamic` the one child, and then restarts are counted for each child apart; otherwise all children.
        auto_shutdown: end, without failure, after the final exit of any, or of all, significant children.
    """

    strategy: Strategy
    children: tuple[ChildSpec, ...] = ()
    intensity: int = 5
    period_s: float = 60.0
    backoff: Backoff = attrs.field(factory=Backoff)
    on_excess: Literal["escalate"] | Quarantine = "escalate"
    auto_shutdown: AutoShutdown = "never"

    def __attrs_post_init__(self) -> None:
        if self.intensity < 0 or self.period_s <= 0:
            raise ValueError("intensity must not be negative, and period_s must be positive")
        if self.strategy == "dynamic" and self.children:
            raise ValueError("a dynamic supervisor starts empty; add its children later")
        twice = [child_id for child_id, count in Counter(child.id for child in self.children).items() if count > 1]
        if twice:
            raise ValueError(f"child ids must be unique, but these are not: {twice}")
        for child in self.children:
            self.check(child)
        longest_s = sum(self.backoff.ceiling_s(restart) for restart in range(1, self.intensity + 1))
        if longest_s > self.period_s:
            limit = f"{self.intensity} restarts within {self.period_s:g} s"
            raise ValueError(f"{limit} can never be exceeded: their backoff alone may last {longest_s:g} s")

    def check(self, child: ChildSpec) -> None:
        """Raise ValueError if `child` cannot belong to this supervisor."""
        if child.significant and self.auto_shutdown == "never":
            raise ValueError(f"child {child.id!r} is significant, but the supervisor never shuts down by itself")


class CrashReport(Value, frozen=True):
    """A child ended although nobody asked it to, or failed to start.

    Attributes:
        supervisor, child: path of the supervisor, id of the child.
        error: type and message of the error; never a traceback or a local variable.
        at: monotonic seconds of the host.
        restarts: restarts within the period, this one included, as counted against the intensity.
        decision: what the supervisor does about it.
        delay_s: backoff before the restart.
        last_messages: what the child had been working on, oldest first, as the host gave it.
    """

    supervisor: str
    child: str
    error: str
    at: float
    restarts: int
    decision: Decision
    delay_s: float = 0.0
    last_messages: tuple[Any, ...] = ()


class Notice(Value, frozen=True):
    """A step in the life of a supervisor, or (`child` given) of a child in quarantine."""

    supervisor: str
    what: Literal["ready", "quarantined", "released", "ended"]
    at: float
    child: str | None = None
    detail: str = ""


class SupervisorEnd(Value, frozen=True):
    """Why a supervisor ended; by then none of its children lives. `error` is None if the end is no failure."""

    reason: Literal["stopped", "auto_shutdown", "escalated", "start_failed"]
    error: str | None = None


class Cancellable(Protocol):
    """A timer that has not fired yet."""

    def cancel(self) -> None:
        """Make sure that it never fires; harmless afterwards."""
        ...


class SupervisorHost(Protocol):
    """Where children really run. Its methods return at once, never raise, and may report before they return.

    For every `start_child` the host calls `supervisor.started(id)` at most once and then `supervisor.ended(id, ...)` exactly once;
    a child that ends without having been reported as started has failed to start.
    """

    @property
    def random(self) -> random.Random:
        """The named stream that backoff draws from."""
        ...

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def start_child(self, supervisor: Supervisor, spec: ChildSpec) -> None:
        """Begin to start a worker."""
        ...

    def stop_child(self, supervisor: Supervisor, child_id: str, shutdown: Shutdown) -> None:
        """Begin to stop a worker that started or is starting; a second call, with `brutal`, withdraws the time it was given."""
        ...

    def schedule(self, delay_s: float, callback: Callable[[], None]) -> Cancellable:
        """Call back once after `delay_s` seconds, unless cancelled."""
        ...

    def report(self, report: CrashReport | Notice) -> None:
        """Take note, for logs, events and health."""
        ...


def describe(error: BaseException) -> str:
    """Type and message of `error`, shortened; of an exception group, those of its leaves. Never locals, notes or a traceback."""
    if isinstance(error, BaseExceptionGroup):
        text = "; ".join(describe(inner) for inner in error.exceptions)
    else:
        message = str(error)
        text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return text if len(text) <= ERROR_TEXT_CHARS_MAX else text[: ERROR_TEXT_CHARS_MAX - 1] + "…"
