"""The real daemon on a machine whose resolver knows names under `.test`: all of them are this machine.

Run as `python -m tests.e2e.named_daemon serve …`.
"""

from __future__ import annotations

import socket
from typing import Any

resolve = socket.getaddrinfo


def on_this_machine(host: Any, *rest: Any, **more: Any) -> Any:
    """As an entry for each name in the machine's table of hosts would."""
    return resolve("127.0.0.1" if isinstance(host, str) and host.endswith(".test") else host, *rest, **more)


if __name__ == "__main__":
    from api.cli import main

    socket.getaddrinfo = on_this_machine
    main()
