"""Logs of the daemon: one line per record on standard error, as JSON or for people. Rotation is the system's business.

Lives here: formatting. Must not live here: secrets; `Secret` values mask themselves, and nothing else that is secret is ever logged.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import msgspec

from runtime.clock import Clock, iso

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


LOGGERS: Final = ("powernode", "runtime", "actors", "net", "api")
"""Names of the loggers of this program; libraries have others."""


class Formatter(logging.Formatter):
    """Makes the lines of the log."""

    def __init__(self, clock: Clock, as_json: bool) -> None:
        super().__init__()
        self._clock = clock
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        at = iso(self._clock.wall())
        error = self.formatException(record.exc_info) if record.exc_info else None
        if self._as_json:
            line: dict[str, Any] = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
            line.update({key: value if isinstance(value, str | int | float | bool | None) else str(value) for key, value in extra.items()})
            if error:
                line["exception"] = error
            return msgspec.json.encode(line).decode()
        facts = " ".join(f"{key}={value}" for key, value in extra.items())
        text = f"{at} {record.levelname.lower():<7} {record.name}: {record.getMessage()}" + (f" ({facts})" if facts else "")
        return f"{text}\n{error}" if error else text


def configure(clock: Clock, *, level: str, as_json: bool) -> None:
    """Send every record of the process to standard error; libraries only from `warning` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(clock, as_json))
    # No line says which code, thread or process wrote it, so nobody looks it up (logging HOWTO, "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for ours in LOGGERS:
        logging.getLogger(ours).setLevel(level.upper())
