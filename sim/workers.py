"""Worker processes that each do one piece of work after the other.

Lives here: starting, feeding and stopping them. Must not live here: what the work is. Processes are spawned, not forked: a fork would
inherit whatever locks and threads the caller has. An interrupt of the terminal reaches the caller alone, who then closes the workers.
"""

from __future__ import annotations

import gc
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

import attrs

AHEAD: Final = 4
"""Pieces handed to a worker at once, so that it never waits for the next."""

JOIN_S: Final = 5.0
_END: Final = object()

_Piece = TypeVar("_Piece")
_Outcome = TypeVar("_Outcome")


@attrs.define(eq=False)
class _Worker(Generic[_Piece]):
    process: BaseProcess
    pipe: Connection
    underway: deque[_Piece] = attrs.field(factory=deque)


class Workers(Generic[_Piece, _Outcome]):
    """A fixed number of processes.

    Args:
        count: how many.
        work: a function of a module, called in a worker; it must not raise.
        lost: the outcome of a piece whose process died, given its exit code.
        prepare: a function of a module, called once in each process before its first piece.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[_Piece], _Outcome],
        lost: Callable[[_Piece, int | None], _Outcome],
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self._work = work
        self._lost = lost
        self._prepare = prepare
        self._workers = [self._spawn() for _ in range(count)]

    def map(self, pieces: Iterable[_Piece]) -> Iterator[_Outcome]:
        """The outcome of each piece, as it comes."""
        waiting = iter(pieces)
        for _ in range(AHEAD):
            for worker in self._workers:
                self._feed(worker, waiting)
        while busy := {worker.pipe: worker for worker in self._workers if worker.underway}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                try:
                    outcome = worker.pipe.recv()
                except (EOFError, OSError):
                    yield from self._replace(worker, waiting)
                    continue
                worker.underway.popleft()
                self._feed(worker, waiting)
                yield outcome

    def close(self) -> None:
        """Stop every process, whatever it does."""
        for worker in self._workers:
            worker.pipe.close()
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(JOIN_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []

    def _feed(self, worker: _Worker[_Piece], waiting: Iterator[_Piece]) -> None:
        for piece in waiting:
            self._hand(worker, piece)
            return

    def _hand(self, worker: _Worker[_Piece], piece: _Piece) -> None:
        worker.underway.append(piece)
        try:
            worker.pipe.send(piece)
        except OSError:
            # The process has died; that is noticed, and said, when its outcome is read.
            return

    def _replace(self, dead: _Worker[_Piece], waiting: Iterator[_Piece]) -> Iterator[_Outcome]:
        """A new process in place of one that died. The piece that it was at is lost, those behind go to the new one."""
        dead.process.join(JOIN_S)
        dead.pipe.close()
        lost, *rest = dead.underway
        heir = self._spawn()
        self._workers[self._workers.index(dead)] = heir
        for piece in rest:
            self._hand(heir, piece)
        self._feed(heir, waiting)
        yield self._lost(lost, dead.process.exitcode)

    def _spawn(self) -> _Worker[_Piece]:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._work, self._prepare), daemon=True)
        # The mask is inherited, so that not even a process that is only starting sees the terminal's interrupt. The tracker's own
        # start would lift it again.
        resource_tracker.ensure_running()
        former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
        theirs.close()
        return _Worker(process, ours)


def _serve(pipe: Connection, work: Callable[[Any], Any], prepare: Callable[[], None] | None) -> None:
    """The life of a worker: until the other end of the pipe closes."""
    if prepare is not None:
        prepare()
    # All that has been imported stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    pieces: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, pieces), daemon=True).start()
    while (piece := pieces.get()) is not _END:
        try:
            pipe.send(work(piece))
        except OSError:
            return


def _receive(pipe: Connection, pieces: SimpleQueue[Any]) -> None:
    """Take what comes at once, so that the caller and a worker never wait for each other with full pipes."""
    try:
        while True:
            pieces.put(pipe.recv())
    except (EOFError, OSError):
        pieces.put(_END)
