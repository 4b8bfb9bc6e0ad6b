"""The real daemon, which kills itself at a chosen point: the N-th commit or the N-th write of TLS bytes to a socket.

Run as `python -m tests.e2e.dying_daemon serve …` with POWERNODE_TEST_DEATH set to `commit-before:N`, `commit-after:N` or `write:N`,
counted from the moment when the file POWERNODE_TEST_ARMED appears; with `count` it never dies and keeps the two counts in the file
POWERNODE_TEST_COUNTS.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

from net.tls import TlsStream
from runtime.store.sqlite import SqliteStore

KIND, _, NUMBER = os.environ.get("POWERNODE_TEST_DEATH", "count").partition(":")
ARMED = Path(os.environ["POWERNODE_TEST_ARMED"])
COUNTS = Path(os.environ["POWERNODE_TEST_COUNTS"])
counts = {"commit": 0, "write": 0}
# Commits are counted by the store's thread, writes by the event loop's.
counting = threading.Lock()


def reached(what: str) -> bool:
    """Count one event once armed; whether it is the chosen one."""
    if not ARMED.exists():
        return False
    with counting:
        counts[what] += 1
        if KIND == "count":
            # In one step, since the test may read at any moment.
            fresh = COUNTS.with_suffix(".fresh")
            fresh.write_text(json.dumps(counts))
            fresh.replace(COUNTS)
        return KIND.startswith(what) and counts[what] == int(NUMBER or 0)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


original_apply = SqliteStore._apply
original_init = TlsStream.__init__


def apply(self: SqliteStore, *args: Any) -> Any:
    chosen = reached("commit")
    if chosen and KIND == "commit-before":
        die()
    result = original_apply(self, *args)
    if chosen:
        die()
    return result


def init(self: TlsStream, transport: Any, *args: Any, **kwargs: Any) -> None:
    original_init(self, transport, *args, **kwargs)
    send_all = transport.send_all

    async def counted(data: Any) -> None:
        if reached("write"):
            die()
        await send_all(data)

    transport.send_all = counted


SqliteStore._apply = apply  # type: ignore[method-assign]
TlsStream.__init__ = init  # type: ignore[method-assign]

if __name__ == "__main__":
    from api.cli import main

    main()
