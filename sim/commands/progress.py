"""How far a long task is: a bar on standard error where that is a terminal, nothing where it is not.

Lives here: the bars, and the figures of a tally in words. Must not live here: counting (see `sim.sweep`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final

from runtime.clock import SystemClock
from sim.sweep import Tally

if TYPE_CHECKING:
    import rich.progress

REFRESH_S: Final = 0.1


def figures(tally: Tally, elapsed_s: float) -> str:
    """A tally in one line: runs, failures, faults, virtual time and pace."""
    faults = sum(tally.faults.values())
    pace = tally.runs / elapsed_s if elapsed_s > 0 else 0.0
    return (
        f"{_count(tally.runs, 'seed')} run, {tally.failed} failed, {_count(faults, 'fault')} injected, "
        f"{span(tally.virtual_s)} of virtual time, {pace:.1f} seeds/s"
    )


def brief(tally: Tally, elapsed_s: float) -> str:
    """The same beside a bar, where a terminal of 80 columns has no room for all the words."""
    pace = tally.runs / elapsed_s if elapsed_s > 0 else 0.0
    return f"{tally.runs} run, {tally.failed} failed, {sum(tally.faults.values())} faults, {span(tally.virtual_s)}, {pace:.1f} seeds/s"


def span(seconds: float) -> str:
    """A long time in its two largest units, as in `3d 4h`."""
    rest = int(seconds)
    parts: list[str] = []
    for unit, size in (("y", 365 * 86_400), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


class _Barred:
    """What may have a bar on the terminal."""

    _bar: rich.progress.Progress | None = None

    @contextmanager
    def aside(self, stream: IO[Any]) -> Iterator[None]:
        """Room for what the block prints to `stream`: the bar is gone meanwhile, and below it afterwards."""
        bar = self._bar if stream.isatty() else None
        if bar is not None:
            bar.stop()
        try:
            yield
        finally:
            if bar is not None:
                bar.start()


class Progress(_Barred):
    """A bar while the block runs.

    Args:
        total: how many runs there will be; None if nobody knows.
        minutes: after which the sweep ends; the bar then follows the time.
    """

    def __init__(self, total: int | None, minutes: float | None) -> None:
        self._total = total
        self._limit_s = None if minutes is None or total is not None else minutes * 60.0
        self._clock = SystemClock()
        self._started = self._shown_at = self._clock.now()
        self._last: Tally | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task("", total=self._limit_s if self._limit_s is not None else self._total, figures="")
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            if self._last is not None:
                self._draw(self._last)
            self._bar.stop()

    def show(self, tally: Tally) -> None:
        """Note how far it is; drawn a few times a second."""
        self._last = tally
        if self._bar is not None and self._clock.now() - self._shown_at >= REFRESH_S:
            self._draw(tally)

    def _draw(self, tally: Tally) -> None:
        assert self._bar is not None
        self._shown_at = self._clock.now()
        elapsed_s = self._shown_at - self._started
        at = tally.runs if self._limit_s is None else min(elapsed_s, self._limit_s)
        self._bar.update(self._task, completed=at, figures=brief(tally, elapsed_s))


class Share(_Barred):
    """A bar of how much of one long task is done, while the block runs.

    Args:
        what: the task, in a word or two.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._clock = SystemClock()
        self._shown_at = self._clock.now()

    def __enter__(self) -> Share:
        if sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task("", total=1.0, figures=self._what)
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, share: float) -> None:
        """Note how far it is, from 0 to 1; drawn a few times a second."""
        if self._bar is not None and self._clock.now() - self._shown_at >= REFRESH_S:
            self._shown_at = self._clock.now()
            self._bar.update(self._task, completed=share)


def _bar() -> rich.progress.Progress:
    # Loaded here, because it is slow to import and a sweep into a file never needs it.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        BarColumn(bar_width=10),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        # `click.echo` would write past rich's stand-in of a stream, behind the bar; see `_Barred.aside`.
        redirect_stdout=False,
        redirect_stderr=False,
    )
