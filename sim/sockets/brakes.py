"""Processes that stand still, or are slow, among others that are not.

Lives here: which tasks of the one trio run may go on. Must not live here: what a machine does for a process that does nothing: it takes in
connections and segments as ever (`tcp`, `sockets`), clocks go on, and commits under way reach the disk.

A process that stands still is one whose tasks do not get a turn, however often they are woken. A wait whose time limit passes meanwhile has
ended by the time the process goes on, as after SIGSTOP and SIGCONT. A slow process takes up whatever reaches it (a segment, a timer, a
commit) after a while, and then does all of it that it can do at once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from sim.sockets.clock import VirtualLoop
from sim.sockets.sockets import Sockets

if TYPE_CHECKING:
    from sim.sockets.tcp import Process


class Brakes:
    """The processes of one run that do not run freely."""

    def __init__(self, loop: VirtualLoop, sockets: Sockets) -> None:
        self._loop = loop
        self._sockets = sockets
        self._paused: set[Process] = set()
        self._lags_s: dict[Process, float] = {}
        self._due: set[Process] = set()
        self._at_work: set[Process] = set()
        loop.on_idle = self._at_work.clear

    def pause(self, process: Process) -> None:
        """Let it stand still."""
        self._paused.add(process)
        self._changed()

    def unpause(self, process: Process) -> None:
        """Let it go on."""
        self._paused.discard(process)
        self._changed()

    def slow(self, process: Process, lag_s: float) -> None:
        """Let it take up everything so much later; 0 is at once."""
        if lag_s > 0.0:
            self._lags_s[process] = lag_s
        else:
            self._lags_s.pop(process, None)
        # What waits was put off by as much as it was slow before.
        self._due.discard(process)
        self._changed()

    def release(self, process: Process) -> None:
        """Let it run freely, if only to its end."""
        self._paused.discard(process)
        self.slow(process, 0.0)

    def release_all(self) -> None:
        """Let every process run freely."""
        self._paused.clear()
        self._lags_s.clear()
        self._changed()

    def _changed(self) -> None:
        self._loop.hold(self._holds if self._paused or self._lags_s else None)

    def _holds(self, task: trio.lowlevel.Task) -> bool:
        """Whether a task that is ready gets no turn now."""
        process = self._sockets.owner(task)
        if process is None or process in self._at_work:
            return process in self._paused
        lag_s = self._lags_s.get(process)
        if lag_s is not None and process not in self._due:
            self._due.add(process)
            self._loop.timeline.after(lag_s, partial(self._take_up, process))
        return lag_s is not None or process in self._paused

    def _take_up(self, process: Process) -> None:
        """Its turn has come: until the run is idle it does what it can."""
        self._due.discard(process)
        self._at_work.add(process)
        self._loop.let_go()
