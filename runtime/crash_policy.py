"""What happens to an actor whose handler raised, decided by one dynamic supervisor per kind of actor.

Lives here: the translation between the engine, which owns the actors, and the supervisors, which own the rules. Must not live here:
the rules themselves (see `supervision`) or the restart (see `engine`). A supervisor learns of an actor when it first crashes and
forgets it once its crashes no longer count, so that a million healthy actors cost nothing here.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from runtime.actor import Ref
from runtime.clock import Clock
from runtime.crash import Crash, QuarantineFor, RestartAfter
from runtime.random import Randomness
from runtime.supervision import Cancellable, ChildSpec, CrashReport, Notice, Quarantine, Shutdown, SupervisorSpec, describe
from runtime.supervisor import DynamicSupervisor, Supervisor
from runtime.timers import Timer, TimerHeap

QUARANTINE_S = 60.0

DEFAULT_RULES = SupervisorSpec("dynamic", intensity=5, period_s=60.0, on_excess=Quarantine(QUARANTINE_S))
"""Five restarts a minute for each actor apart; whoever needs more is left alone for a while, and only that one."""

Report = CrashReport | Notice


class SupervisedCrashes:
    """The engine's `CrashPolicy` by supervision.

    Args:
        kinds: the kinds of actor, one supervisor each.
        clock, randomness: backoff is drawn from the stream `supervision/<kind>`.
        rules: other rules than `DEFAULT_RULES`, by kind; they must be dynamic and end in quarantine.
        on_report: is told of every crash, quarantine and release.

    Raises:
        ValueError: rules that do not fit, because they could end the supervisor and with it every actor of the kind.
    """

    def __init__(
        self,
        kinds: Iterable[str],
        clock: Clock,
        randomness: Randomness,
        *,
        rules: Mapping[str, SupervisorSpec] | None = None,
        on_report: Callable[[Report], None] = lambda report: None,
    ) -> None:
        given = rules or {}
        self._rules = {kind: given.get(kind, DEFAULT_RULES) for kind in kinds}
        unknown = given.keys() - self._rules.keys()
        if unknown:
            raise ValueError(f"rules for kinds of actor that do not exist: {sorted(unknown)}")
        for kind, spec in given.items():
            if spec.strategy != "dynamic" or not isinstance(spec.on_excess, Quarantine):
                raise ValueError(f"rules for {kind} must be dynamic and end in quarantine")
        self._parts = clock, randomness, on_report
        self._hosts: dict[str, _Host] = {}

    def crashed(self, crash: Crash) -> RestartAfter | QuarantineFor:
        """Count the crash against its actor and say when that actor may run again."""
        kind = crash.ref.kind
        host = self._hosts.get(kind)
        if host is None:
            # Made at the first crash, because nearly all kinds never see one.
            host = self._hosts[kind] = _Host(kind, self._rules[kind], *self._parts)
        return host.crashed(crash)

    def healthy(self, ref: Ref) -> None:
        """The actor has left memory; what is remembered of it goes as soon as it no longer counts."""
        host = self._hosts.get(ref.kind)
        if host is not None:
            host.tidy()

    def quarantined(self) -> list[Ref]:
        """The actors whose messages are refused at present."""
        return [Ref(kind, id) for kind, host in self._hosts.items() for id in host.quarantined()]

    def __len__(self) -> int:
        """How many actors are remembered."""
        return sum(len(host.supervisor) for host in self._hosts.values())


class _Host:
    """The host of one supervisor. Starting and stopping is the engine's work, so that both succeed at once here."""

    def __init__(self, kind: str, spec: SupervisorSpec, clock: Clock, randomness: Randomness, on_report: Callable[[Report], None]) -> None:
        assert isinstance(spec.on_excess, Quarantine)
        self._memory_s = max(spec.period_s, spec.on_excess.duration_s)
        self._quarantine_s = spec.on_excess.duration_s
        self._clock = clock
        self._chance = randomness.stream(f"supervision/{kind}")
        self._on_report = on_report
        self._timers = TimerHeap()
        self._decided: CrashReport | None = None
        self._armed: Timer | None = None
        # In order of the last crash: when it was, and the timer (if any) that lets the child start again.
        self._children: OrderedDict[str, tuple[float, Timer | None]] = OrderedDict()
        self.supervisor = DynamicSupervisor(f"actors/{kind}", spec, self, on_ready=lambda: None, on_end=lambda end: None)
        self.supervisor.start()

    def crashed(self, crash: Crash) -> RestartAfter | QuarantineFor:
        self.tidy()
        id = crash.ref.id
        if id not in self.supervisor:
            self.supervisor.add_child(ChildSpec(id, None))
        self._bring_up(id)
        self._armed = None
        self.supervisor.ended(id, describe(crash.error), crash.history)
        self._children[id] = (self.now(), self._armed)
        self._children.move_to_end(id)
        decided = self._decided
        assert decided is not None
        return QuarantineFor(self._quarantine_s) if decided.decision == "quarantine" else RestartAfter(decided.delay_s)

    def tidy(self) -> None:
        """Let waits that are over end, and forget actors whose last crash is too long ago to count."""
        now = self.now()
        self._timers.fire_due(now)
        while self._children:
            id, (at, _) = next(iter(self._children.items()))
            if at + self._memory_s >= now:
                return
            del self._children[id]
            self.supervisor.remove_child(id)

    def quarantined(self) -> list[str]:
        self.tidy()
        return [id for id, state in self.supervisor.states().items() if state == "quarantined"]

    def _bring_up(self, id: str) -> None:
        """The engine runs an actor before its wait is over when it was reset meanwhile; what has run cannot be waiting."""
        timer = self._children.get(id, (0.0, None))[1]
        if timer is not None and timer.callback is not None:
            callback = timer.callback
            timer.cancel()
            callback()

    # --- what the supervisor calls ---

    @property
    def random(self) -> random.Random:
        return self._chance

    def now(self) -> float:
        return self._clock.now()

    def start_child(self, supervisor: Supervisor, spec: ChildSpec) -> None:
        supervisor.started(spec.id)

    def stop_child(self, supervisor: Supervisor, child_id: str, shutdown: Shutdown) -> None:
        supervisor.ended(child_id)

    def schedule(self, delay_s: float, callback: Callable[[], None]) -> Cancellable:
        self._armed = self._timers.add(self.now() + delay_s, callback)
        return self._armed

    def report(self, report: CrashReport | Notice) -> None:
        if isinstance(report, CrashReport):
            self._decided = report
        self._on_report(report)
