"""Scenarios in tests: a decorator for pytest, a Hypothesis strategy, and a machine whose rules drive live actors.

Lives here: what tests of this project and of others import. It needs `pytest` and `hypothesis`, which nothing else of the simulator does.

    @scenario("scenarios/happy-path.toml", seeds=5)
    def test_the_runbook(result: Result) -> None:
        assert result.turns < 500

    @given(scenarios())
    def test_nothing_breaks(generated: Generated) -> None:
        generated.holds("nothing-breaks")
"""

from __future__ import annotations

import functools
import inspect
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from sim.draws import Draw
from sim.generate import document as generated_document
from sim.scenario.failures import Failure, StageError
from sim.scenario.load import load, parse
from sim.scenario.progress import DeadlockError
from sim.scenario.run import Result, run
from sim.scenario.schema import Scenario
from sim.scenario.stage import BrokenError, Stage
from sim.scenario.write import Document, duration, to_toml
from sim.shrink import shrink
from sim.world import LivelockError

Test = TypeVar("Test", bound=Callable[..., Any])
Item = TypeVar("Item")

SEEDS: Final = 3
FOUND: Final = Path(".hypothesis/scenarios")
"""Where failing documents are written if nobody says otherwise: beside Hypothesis's own notes."""

PACE_S: Final = 0.001
SHRINK_RUNS_MAX: Final = 100

_WRITTEN: Final[dict[Path, str]] = {}
"""File to the failure that it shows."""


# --- pytest ----------------------------------------------------------------------------------------------------------


def scenario(
    files: str | Path, *, seeds: int | Iterable[int] = SEEDS, where: Callable[[Scenario], bool] = lambda scenario: True
) -> Callable[[Test], Test]:
    """Run a scenario file, or many, under some seeds, one test for each run, before the body of the test.

    The body may take `result`, the outcome of the run, beside fixtures. A broken promise fails the test with the last events and the
    command that replays it.

    Args:
        files: from the folder of the test, or of one above it; or from the root; a pattern such as `scenarios/*.toml` stands for all
            that match.
        seeds: so many, counted up from each file's own; or which.
        where: of the files of a pattern only these.
    """

    def decorate(test: Test) -> Test:
        paths = _found(str(files), Path(inspect.getfile(test)))
        loaded = [each for each in map(load, paths) if where(each)]
        runs = [(each, seed) for each in loaded for seed in (_counted(each, seeds) if isinstance(seeds, int) else seeds)]
        ids = [f"{Path(each.path).stem}-{seed}" for each, seed in runs]
        takes = inspect.signature(test).parameters

        @functools.wraps(test)
        def body(played: tuple[Scenario, int], **fixtures: Any) -> Any:
            result = run(*played)
            if not result.passed:
                pytest.fail(told(result), pytrace=False)
            return test(**fixtures, **({"result": result} if "result" in takes else {}))

        parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in ("played", *takes) if name != "result"]
        body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # pytest reads it
        marked: Test = pytest.mark.parametrize("played", runs, ids=ids)(body)
        return marked

    return decorate


def _counted(scenario: Scenario, count: int) -> Iterable[int]:
    return range(scenario.world.seed, scenario.world.seed + count)


def _found(pattern: str, test: Path) -> list[Path]:
    asked = Path(pattern)
    if asked.is_absolute():
        found = sorted(Path(asked.anchor).glob(str(asked.relative_to(asked.anchor))))
        if not found:
            raise FileNotFoundError(f"{pattern} does not stand there")
        return [_short(path) for path in found]
    for folder in test.resolve().parents:
        found = sorted(folder.glob(pattern))
        if found:
            return [_short(path) for path in found]
    raise FileNotFoundError(f"{pattern} stands neither in {test.parent} nor in a folder above it")


def _short(path: Path) -> Path:
    """As somebody would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def told(result: Result) -> str:
    """What to show of a failed run: broken promises, the last events, and how to replay it."""
    return _told(result.failures, result.last, result.path, result.seed)


def _told(failures: Sequence[Failure], last: Sequence[str], path: str, seed: int) -> str:
    lines = [f"{failure.checker} at {failure.at:.3f} s (seed {seed}): {failure.text}" for failure in failures]
    lines += ["last:", *(f"  {line}" for line in last)] if last else []
    return "\n".join([*lines, f"replay: powernode sim replay {shlex.quote(path)} --seed {seed}"])


# --- Hypothesis ------------------------------------------------------------------------------------------------------


@attrs.frozen
class Generated:
    """A scenario that Hypothesis has made."""

    document: Document

    def __repr__(self) -> str:
        steps = [f"{step['t']} {step['do']}" for step in self.document.get("at", ())]
        return f"<scenario of {len(self.document['platform'])} platforms: {', '.join(steps) or 'no steps'}>"

    @property
    def text(self) -> str:
        """The file."""
        return to_toml(self.document)

    @property
    def scenario(self) -> Scenario:
        """As the reader of files understands it."""
        return parse(self.text, "generated.toml")

    def holds(self, name: str, *, folder: Path = FOUND) -> Result:
        """Run it under its own seed; the outcome.

        If a promise is broken, the smallest document that breaks it the same way is written to `folder`/`name`.toml. Hypothesis goes on
        with smaller examples of its own; the file is written anew only for one that fails in another way.

        Raises:
            AssertionError: a promise is broken.
        """
        result = run(self.scenario)
        if result.passed:
            return result
        path, seed = folder / f"{name}.toml", result.seed
        if _WRITTEN.get(path) != result.failures[0].identity:
            shrunk = shrink(self.document, seed, path.name, runs_max=SHRINK_RUNS_MAX)
            write_found(shrunk.document, [shrunk.failure], seed, path)
            _WRITTEN[path] = shrunk.failure.identity
        raise AssertionError(_told(result.failures, result.last, str(_short(path.resolve())), seed))


def scenarios() -> st.SearchStrategy[Generated]:
    """Documents by chance, valid for the reader of scenario files, without expectations: safety checkers judge them."""
    return _generated()


@st.composite
def _generated(draw: st.DrawFn) -> Generated:
    return Generated(generated_document(_Hypothesis(draw)))


class _Hypothesis:
    """Choices from Hypothesis; the first option is the simplest."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def whole(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def among(self, options: Sequence[Item]) -> Item:
        return self._draw(st.sampled_from(options))

    def several(self, most: int, make: Callable[[Draw], Item]) -> list[Item]:
        # A list of its own, because Hypothesis leaves out elements of lists first.
        return self._draw(st.lists(st.composite(lambda draw: make(_Hypothesis(draw)))(), max_size=most))


def write_found(document: Document, failures: Sequence[Failure], seed: int, path: Path) -> Path:
    """Write a failing document with a header that says how it fails; its path as somebody would type it here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    comment = "".join(f"Fails by {failure.checker} at {failure.at:.3f} s: {failure.text}\n" for failure in failures)
    whole = f"{comment}Replay it with: powernode sim replay {path.name} --seed {seed}"
    path.write_text(to_toml(document, comment=whole), encoding="utf-8")
    return _short(path.resolve())


# --- machines --------------------------------------------------------------------------------------------------------


class FederationMachine(RuleBasedStateMachine):
    """A state machine over a live world: rules call `perform` and `advance`, and safety checkers watch all the time.

    Everything that is done is also written down as the steps of a scenario. When a promise breaks, or `require` fails, the file is left
    in `folder` and replays what the machine did.

    Class attributes:
        platforms: tables of `[[platform]]`.
        seed: of the world; Hypothesis varies what is done, not what the network does.
        folder: where failing documents are written.
    """

    platforms: ClassVar[Sequence[Mapping[str, Any]]] = ({"name": "a"}, {"name": "b"})
    seed: ClassVar[int] = 1
    folder: ClassVar[Path] = FOUND

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[dict[str, Any]] = []
        self.stage = Stage(self._parsed([]), self.seed)

    @property
    def document(self) -> Document:
        """What has been done, as a scenario."""
        world = {"seed": self.seed, "for": duration(round(self.stage.now + PACE_S, 6)) if self.steps else 1, "skip_impossible": True}
        name = type(self).__name__
        return {
            "name": name, "description": f"What {name} did.", "world": world,
            "platform": [dict(platform) for platform in self.platforms], "at": [dict(step) for step in self.steps],
        }  # fmt: skip

    def perform(self, do: str, *, name: str | None = None, **keys: Any) -> bool:
        """Let a step happen now; False if it cannot. Keys are those of the file, `is_` for `is`."""
        table = {"t": round(self.stage.now, 6), "do": do, **({} if name is None else {"name": name})}
        table |= {key.rstrip("_"): value for key, value in keys.items() if value is not None}
        self.steps.append(table)
        step = self._parsed([table]).steps[0]
        try:
            self.stage.perform(step.action, step.do, step.name)
        except StageError:
            self.stage.skipped += 1
            return False
        finally:
            self._watched(self.stage.observe)
            self._watched(self.stage.check_all)
            # A step of its own moment each, so that the file keeps the order.
            self.advance(PACE_S)
        return True

    def teardown(self) -> None:
        """Close the world. What is done here is part of the scenario, too."""
        self.stage.world.close()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._watched(lambda: self.stage.run_to(round(self.stage.now + seconds, 6)))

    def ask(self, do: str, within_s: float = 60.0, **keys: Any) -> str:
        """Let an operator do something and wait for the answer: `ok`, its error code, `no_answer`, or `impossible`."""
        name = f"{len(self.steps)}: {do}"
        if not self.perform(do, name=name, **keys):
            return "impossible"
        answers = self.stage.history.answers
        end = self.stage.now + within_s
        while name not in answers and self.stage.now < end:
            self.advance(min(1.0, end - self.stage.now))
        return answers.get(name, "no_answer")

    def require(self, condition: bool, text: str) -> None:
        """Fail, and leave the file, unless `condition` holds.

        Raises:
            AssertionError: it does not.
        """
        if not condition:
            self._fail(Failure("machine", self.stage.now, text))

    def _watched(self, act: Callable[[], None]) -> None:
        try:
            act()
        except BrokenError as broken:
            self._fail(broken.failure)
        except LivelockError as error:
            self._fail(Failure("livelock", self.stage.now, str(error)))
        except DeadlockError as error:
            self._fail(Failure("deadlock", self.stage.now, str(error)))

    def _fail(self, failure: Failure) -> None:
        path = write_found(self.document, [failure], self.seed, self.folder / f"{type(self).__name__}.toml")
        raise AssertionError(_told([failure], (), str(path), self.seed))

    def _parsed(self, steps: Sequence[Mapping[str, Any]]) -> Scenario:
        world = {"for": 1e9, "seed": self.seed}
        platforms = [dict(platform) for platform in self.platforms]
        text = to_toml({"name": "machine", "description": "-", "world": world, "platform": platforms, "at": [dict(step) for step in steps]})
        return parse(text, "machine.toml")
