"""From the data folder of a daemon to a scenario that plays what its flight recorder holds.

Lives here: asking a running daemon for its recorder, choosing from it, and the document. Must not live here: playing it (see `recorded`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
import trio

from api.flight import FLIGHT_NAME
from net.folder_lock import FolderLock, FolderLockedError
from runtime.recording import FORMAT
from sim.scenario.kinds import unknown
from sim.scenario.write import Document, duration

ANSWER_WITHIN_S: Final = 15.0
LOOK_EVERY_S: Final = 0.02
FILE_BYTES_MAX: Final = 1_000_000_000
END_S: Final = 1.0
"""How long a recording runs on after its last turn."""


class NoRecordingError(Exception):
    """There is nothing to record from; the message says what to do."""


@attrs.frozen
class Taken:
    """What a data folder gave.

    Attributes:
        flight: the document of the recorder.
        fresh: the daemon ran and wrote it just now; else it is from before.
        written_at: when, in seconds since the epoch.
    """

    flight: dict[str, Any]
    fresh: bool
    written_at: float


def take(data: Path) -> Taken:
    """The recorder of the daemon that runs on a data folder, or what the last one left there.

    Raises:
        NoRecordingError: there is none, or it cannot be read.
    """
    path = data / FLIGHT_NAME
    pid = _holder(data)
    if pid is not None:
        _ask(pid, path)
    try:
        raw, written_at = path.read_bytes(), path.stat().st_mtime
    except FileNotFoundError:
        text = "no daemon runs on this folder, and none has left a recording there; one that is killed leaves none"
        raise NoRecordingError(text) from None
    except OSError as error:
        raise NoRecordingError(f"{path} cannot be read ({error.strerror}); run this as the user of the daemon") from error
    try:
        flight = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NoRecordingError(f"{path} is no recording") from error
    if not isinstance(flight, dict) or flight.get("format") != FORMAT:
        raise NoRecordingError(f"{path} was written by another version of the program")
    return Taken(flight, pid is not None, written_at)


def document(flight: dict[str, Any], *, since_s: float | None = None, actors: Collection[str] = ()) -> Document:
    """The scenario that plays a recording.

    Args:
        since_s: only what happened in the last `since_s` seconds, and what is needed to begin there.
        actors: only these (`KIND/ID`, or a kind); all if empty.

    Raises:
        NoRecordingError: nothing is left, or one of `actors` is not there.
    """
    known = {name for each in flight["actors"] for name in (each["actor"], each["actor"].partition("/")[0])}
    strange = [unknown(actor, sorted(known), "actor of this recording") for actor in actors if actor not in known]
    if strange:
        raise NoRecordingError("\n".join(strange))
    chosen = [each for each in flight["actors"] if not actors or each["actor"] in actors or each["actor"].partition("/")[0] in actors]
    begin = -float("inf") if since_s is None else flight["now"] - since_s
    turns = sorted((turn["now"], number, each["actor"], turn) for each in chosen for number, turn in enumerate(_kept(each["turns"], begin)))
    if not turns:
        raise NoRecordingError("the recorder holds nothing of what was asked for")
    zero, name = turns[0][0], _name(flight)
    steps = [{"t": 0, "do": "recorded_settings", "on": name, "settings": json.dumps(flight["settings"])}]
    steps += [_step(name, now - zero, actor, turn) for now, _, actor, turn in turns]
    return {
        "name": f"recorded on {name}",
        "description": (
            f"{len(turns)} entries of {len({actor for _, _, actor, _ in turns})} actors from the flight recorder of a daemon. Secrets were"
            " replaced by others when it was written; equal ones are still equal."
        ),
        "world": {"for": duration(turns[-1][0] - zero + END_S)},
        "platform": [{"name": name, "level": "recorded"}],
        "at": steps,
    }


def _kept(turns: list[dict[str, Any]], begin: float) -> Iterator[dict[str, Any]]:
    """The turns since `begin`, from the last point before it at which everything about the actor is known."""
    starts = [index for index, turn in enumerate(turns) if turn["outcome"] == "checkpoint"]
    if turns and turns[0]["new"]:
        starts.insert(0, 0)
    if not starts or turns[-1]["now"] < begin:
        return
    first = max((index for index in starts if turns[index]["now"] <= begin), default=starts[0])
    for index, turn in enumerate(turns[first:]):
        # What the store refused left nothing behind, and the actor began anew; later checkpoints are passed by as well.
        if (turn["outcome"] == "checkpoint" and index and not _renewed(turns[first + index - 1])) or turn["outcome"].startswith("refused"):
            continue
        yield turn


def _renewed(turn: dict[str, Any]) -> bool:
    return bool(turn["outcome"].startswith(("refused", "crashed")))


def _step(on: str, t: float, actor: str, turn: dict[str, Any]) -> dict[str, Any]:
    same = {"t": t, "on": on, "actor": actor, "now": turn["now"], "wall": turn["wall"]}
    message = json.dumps(turn["message"])
    if turn["outcome"] == "checkpoint":
        record = {} if turn["record"] is None else {"record": json.dumps(turn["record"])}
        return {**same, "do": "recorded_state", "state": message, **record}
    draws = {} if not turn["draws"] else {"draws": json.dumps(turn["draws"])}
    effects = {} if not turn["effects"] else {"effects": ";".join(turn["effects"])}
    return {**same, "do": "recorded_turn", "message": message, "outcome": turn["outcome"], **draws, **effects}


def _name(flight: dict[str, Any]) -> str:
    """What the scenario calls the platform: the first label of its host name, if that is a name for one."""
    found = re.search(r"https://([a-z][a-z0-9-]{0,30})(?=[.:/\"]|$)", json.dumps(flight["settings"]))
    return found[1] if found else "platform"


def _holder(data: Path) -> int | None:
    """The process that runs on a data folder."""
    try:
        with FolderLock.acquire(data):
            return None
    except FolderLockedError as error:
        return error.pid
    except OSError as error:
        raise NoRecordingError(f"{data} is no data folder of a daemon ({error.strerror})") from error


def _ask(pid: int, path: Path) -> None:
    """Let the daemon write its recorder, and wait until it has."""
    before = _mark(path)
    try:
        os.kill(pid, signal.SIGUSR1)
    except OSError as error:
        raise NoRecordingError(f"the daemon (process {pid}) cannot be asked ({error.strerror}); run this as its user") from error

    async def wait() -> None:
        with trio.move_on_after(ANSWER_WITHIN_S):
            while _mark(path) == before:
                await trio.sleep(LOOK_EVERY_S)

    trio.run(wait)
    if _mark(path) == before:
        raise NoRecordingError(f"the daemon (process {pid}) did not write {path} within {ANSWER_WITHIN_S:g} s; its log says why")


def _mark(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(FileNotFoundError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns
    return None
