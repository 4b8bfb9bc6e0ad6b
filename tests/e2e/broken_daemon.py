"""The real daemon with a fault: a peer that proves itself becomes `active` without ever having been `enrolled`.

Run as `python -m tests.e2e.broken_daemon serve …`. `broken()` breaks the lifecycle of this process in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from actors.peer import lifecycle

correct = lifecycle.transition


def skipping(status: Any, trigger: Any, peer_kind: Any) -> Any:
    """The table with one wrong row."""
    return "active" if (status, trigger) == ("accepted", "trust_established") else correct(status, trigger, peer_kind)


@contextmanager
def broken() -> Iterator[None]:
    """With the fault."""
    lifecycle.transition = skipping
    try:
        yield
    finally:
        lifecycle.transition = correct


if __name__ == "__main__":
    from api.cli import main

    with broken():
        main()
