"""A platform that does again what another one did: the turns of a recording, one by one, in the production actors.

Lives here: the host of the level `recorded`, whose engine lets no effect leave, and whose time, chance and messages are those of the
recording. Must not live here: making recordings (see `runtime.recording`, `sim.record`).

What was sent, asked or timed comes back as recorded turns of those who received it, so nothing is sent a second time. Commits are real, and
whoever watches the world judges them as any others. A turn that ends otherwise than it was recorded breaks the rule `recording`: the
program has changed, or the recording does not hold all that the actor knew.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from actors.registry import ACTORS, KINDS
from actors.settings import FederationSettings, Settings
from runtime.actor import Ref
from runtime.cell import Ask, Cell
from runtime.crash_policy import SupervisedCrashes
from runtime.engine import Engine
from runtime.mailbox import Envelope
from runtime.random import Randomness, SeededRandomness
from runtime.recording import Decoder
from runtime.residents import Residents
from runtime.secret import Secret
from runtime.store.port import Committed, Put, PutEvidence, Unit
from runtime.trace import Trace
from sim.onlooker import Former
from sim.scenario.failures import StageError
from sim.store import Disk, MemoryStore
from sim.world import Host, World

if TYPE_CHECKING:
    from sim.clock import Timeline

REPLY: Final = "reply"
"""An effect that depends on whether somebody asked, which a recording does not hold."""


JUDGED: Final = frozenset(
    {
        "handlers", "one_row_per_url", "revoked_is_final", "secrecy", "single_use", "token_life", "transitions",
        "versions",
    }
)  # fmt: skip
"""The rules that a recording can break. The others are about calls, links and deadlines, of which it shows only what one platform made."""


class RecordedClock:
    """The clocks of a host as they stood at each recorded turn. `offset_s` and `drift` are there for whoever sets them, and do nothing."""

    offset_s = 0.0
    drift = 0.0

    def __init__(self) -> None:
        self.at = 0.0
        self.wall_at = 0.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.wall_at


class ScriptedRandom(random.Random):
    """Draws what was drawn; when that is used up, or another kind of draw is asked for, whatever a seed gives."""

    def __init__(self, script: deque[Any], otherwise: random.Random) -> None:
        super().__init__(0)
        self._script = script
        self._otherwise = otherwise

    def random(self) -> float:
        drawn = self._script.popleft() if self._script else None
        return drawn if isinstance(drawn, float) else self._otherwise.random()

    def getrandbits(self, k: int, /) -> int:
        drawn = self._script.popleft() if self._script else None
        return drawn if isinstance(drawn, int) and drawn.bit_length() <= k else self._otherwise.getrandbits(k)


class ScriptedRandomness:
    """The chance of one recorded platform; `script` holds the draws of the turn that is played."""

    def __init__(self, otherwise: Randomness) -> None:
        self.script: deque[Any] = deque()
        self._otherwise = otherwise
        self._stream = ScriptedRandom(self.script, otherwise.stream("recorded"))

    def stream(self, name: str) -> random.Random:
        return self._stream if name.startswith("actor/") else self._otherwise.stream(name)

    def token_bytes(self, count: int) -> bytes:
        drawn = self.script.popleft() if self.script else None
        if isinstance(drawn, Secret) and len(drawn.reveal_bytes()) == count:
            return drawn.reveal_bytes()
        return self._otherwise.token_bytes(count)


class _Stayers(Residents):
    """Actors that never leave memory by themselves.

    Their calls and timers are muted, so that they look idle while the recorded ones waited with something in hand.
    """

    def _sweep(self) -> None:
        return


class MutedEngine(Engine):
    """An engine whose actors take the turns they are given and no others: nothing is sent, asked, timed, woken or passivated."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._residents = _Stayers(self.clock, self._timers, self.counters, self.buggify, self._policy.healthy)
        self._cells = self._residents.cells

    def tell(self, ref: Ref, message: Any, ask: Ask | None = None) -> bool:
        return True

    def arm(self, cell: Cell, what: tuple[str, float, Any]) -> None:
        return

    def disarm(self, cell: Cell, key: str) -> None:
        return

    def start_call(self, cell: Cell, what: Any) -> None:
        return

    def _post(self, ref: Ref, message: Any) -> None:
        return

    def hold(self, ref: Ref, record: Any, evidence: Any, volatile: dict[str, Any]) -> None:
        """Put an actor into memory as it was."""
        self._cells.pop(ref, None)
        cell = self._activate(ref)
        assert cell is not None
        cell.drain()
        actor = cell.actor
        actor.record, actor.evidence = record, evidence
        for name, value in volatile.items():
            setattr(actor, name, value)
        self.directory.committed(ref.kind, ref.id, record, evidence)
        cell.parked = True

    def take_turn(self, ref: Ref, message: Any) -> tuple[str, tuple[str, ...]]:
        """Let an actor take one turn with everything that follows from it in this platform; its outcome and effects."""
        cell = self._cells.get(ref) or self._activate(ref)
        assert cell is not None
        cell.drain()
        cell.put_system((message, Ask(lambda value: None, self._asks)))
        cell.parked = True
        self._enqueue(cell)
        while self.run():
            pass
        last = self.history(ref)[-1]
        return last.outcome, last.effects

    def _crashed(self, cell: Cell, envelope: Envelope, error: Exception) -> None:
        super()._crashed(cell, envelope, error)
        # What comes next was recorded too: the second attempt, or the dead letter.
        cell.drain()
        if cell.resting is not None:
            cell.resting.cancel()
            self._end_rest(cell)


class _OnTimeline(Trace):
    """A trace that tells the time of the world instead of the clock of the recording."""

    def __init__(self, trace: Trace, timeline: Timeline) -> None:
        super().__init__()
        self._trace = trace
        self._timeline = timeline

    def turn(self, now: float, *turn: Any) -> None:
        self._trace.turn(self._timeline.now, *turn)


class RecordedHost(Host):
    """One platform at the level `recorded`."""

    engine: MutedEngine

    def __init__(self, world: World, name: str, federation: FederationSettings, **more: Any) -> None:
        super().__init__(world, name, federation, **more)
        self.clock: Any = RecordedClock()
        self.script = ScriptedRandomness(SeededRandomness(f"{world.seed}/{name}/recorded"))
        self.store = MemoryStore(KINDS, disk=Disk(), observe=self._seen)
        self._watched_now = True
        self._decoder = Decoder(lambda: Ask(lambda value: None, self.engine._asks))

    def _seen(self, unit: Unit, former: Former, result: Committed) -> None:
        if self._watched_now:
            self._committed(unit, former, result)

    def start(self) -> None:
        """Nothing starts before its settings are known."""
        self.running = True

    def settle(self, settings: str) -> None:
        """Make the engine, under the settings of the recorded platform.

        Raises:
            StageError: they are no settings of this program.
        """
        told = self._decoded(settings)
        if not isinstance(told, Settings):
            raise StageError("the settings of the recording are not those of a platform")
        self.url, self.instance_id = told.identity.url, told.identity.instance_id
        self.account_id = told.identity.account_id
        self.engine = MutedEngine(
            store=self.store, clock=self.clock, randomness=self.script, actors=ACTORS, settings=told, ports={},
            crash_policy=SupervisedCrashes(ACTORS, self.clock, self.randomness), trace=_OnTimeline(self.trace, self.world.timeline),
        )  # fmt: skip
        if self.world.onlooker is not None:
            self.world.onlooker.started(self)

    def excused(self, checkers: Iterable[str]) -> list[str]:
        """The rules that cannot be judged by what one platform did alone."""
        return [name for name in checkers if name not in JUDGED]

    def sign_in(self) -> Host:
        """A recorded platform has no operator of its own."""
        return self

    def hold(self, actor: str, now: float, wall: float, record: str | None, message: str) -> None:
        """Take up an actor at a checkpoint.

        Raises:
            StageError: the recording does not fit this program.
        """
        self._at(now, wall)
        ref, checkpoint = _ref(actor), self._decoded(message)
        held = None if record is None else self._decoded(record)
        if held is not None:
            self._write(ref, held, checkpoint.evidence)
        self.engine.hold(ref, held, checkpoint.evidence, dict(checkpoint.volatile))

    def _write(self, ref: Ref, record: Any, evidence: Any) -> None:
        """Put a row where it was, which is no commit of an actor and nobody's to judge."""
        former = self.store.load(ref.kind, ref.id)
        put = Put(ref.kind, record, None if former is None else former.record.version)
        writes = (put,) if evidence is None else (put, PutEvidence(ref.kind, ref.id, evidence))
        self._watched_now = False
        self.store.commit([Unit(writes)], lambda result: None)
        self._watched_now = True
        if self.world.onlooker is not None:
            self.world.onlooker.started(self)

    def play(self, actor: str, now: float, wall: float, message: str, draws: str) -> tuple[str, tuple[str, ...]]:
        """Take a recorded turn; its outcome and effects.

        Raises:
            StageError: the recording does not fit this program.
        """
        self._at(now, wall)
        self.script.script.clear()
        self.script.script.extend(self._decoded(draws))
        return self.engine.take_turn(_ref(actor), self._decoded(message))

    def _at(self, now: float, wall: float) -> None:
        if not hasattr(self, "engine"):
            raise StageError("a recording begins with `recorded_settings`")
        self.clock.at, self.clock.wall_at = now, wall

    def _decoded(self, text: str) -> Any:
        try:
            return self._decoder.decode(json.loads(text))
        except (ValueError, TypeError, KeyError) as error:
            raise StageError(f"the recording does not fit this program: {error}") from error
        except RecursionError as error:
            raise StageError("the recording does not fit this program: it is nested too deeply") from error


def comparable(effects: Sequence[str]) -> tuple[str, ...]:
    """The effects that must be the same in a recording and when it is played."""
    return tuple(effect for effect in effects if effect != REPLY)


def _ref(actor: str) -> Ref:
    kind, _, id = actor.partition("/")
    if kind not in ACTORS or not id:
        raise StageError(f"{actor!r} is no actor of this program")
    return Ref(kind, id)
