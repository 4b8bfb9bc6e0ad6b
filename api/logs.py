"""Logs of the daemon: one line per record on standard error, as JSON or for people. Rotation is the system's business.

Lives here: formatting. Must not live here: secrets; `Secret` values mask themselves, and nothing else that is secret is ever logged.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO

import msgspec

from actors.door import access
from runtime.clock import Clock, iso_once

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
        error = self.formatException(record.exc_info) if record.exc_info else None
        return self.line(record.levelname.lower(), record.name, record.getMessage(), extra, error)

    def line(self, level: str, logger: str, message: str, extra: Mapping[str, Any], error: str | None = None) -> str:
        """One line, without its end."""
        at = iso_once(self._clock.wall())
        if self._as_json:
            line: dict[str, Any] = {"at": at, "level": level, "logger": logger, "message": message}
            for key, value in extra.items():
                line[key] = value if isinstance(value, _SHOWN) else str(value)
            if error:
                line["exception"] = error
            return msgspec.json.encode(line).decode()
        facts = " ".join([f"{key}={value}" for key, value in extra.items()])
        text = f"{at} {level:<7} {logger}: {message}" + (f" ({facts})" if facts else "")
        return f"{text}\n{error}" if error else text


_SHOWN: Final = (str, int, float, bool, type(None))


class Lines(logging.StreamHandler[TextIO]):
    """Writes the lines of the log to a stream.

    Those of the access log come with every call of a peer, so they do without a record: the line is the same, and nothing else reads
    records here.
    """

    def __init__(self, stream: TextIO, formatter: Formatter) -> None:
        super().__init__(stream)
        self.setFormatter(formatter)
        self._lines = formatter

    def access_line(self, facts: Mapping[str, Any]) -> None:
        """Write a line of the access log (see `actors.door.access.AccessLine`)."""
        try:
            text = self._lines.line("info", access.log.name, access.MESSAGE, facts) + self.terminator
            with self.lock:  # type: ignore[union-attr]
                self.stream.write(text)
                self.stream.flush()
        except Exception:
            self.handleError(access.log.makeRecord(access.log.name, logging.INFO, "", 0, access.MESSAGE, (), None, extra=facts))


def configure(clock: Clock, *, level: str, as_json: bool) -> Lines:
    """Send every record of the process to standard error; libraries only from `warning` on."""
    handler = Lines(sys.stderr, Formatter(clock, as_json))
    # No line says which code, thread or process wrote it, so nobody looks it up (logging HOWTO, "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for ours in LOGGERS:
        logging.getLogger(ours).setLevel(level.upper())
    return handler
