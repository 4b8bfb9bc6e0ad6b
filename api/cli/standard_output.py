"""What happens when the result of a command cannot be written: the disk is full, or whoever read it has gone.

Lives here: the standard output of the console script, and how a run ends that could not write to it. Must not live here: what is printed.

A trouble of standard output must not be taken for one of a file, a store or a remote, which commands report in their own words; so it is
no `OSError` here.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from api.cli.failures import Exit, Failure


class OutputError(Exception):
    """Standard output took no more.

    Args:
        reason: what the system said.
        reader_gone: it is a pipe that nobody reads any more.
    """

    def __init__(self, reason: str, *, reader_gone: bool) -> None:
        super().__init__(reason)
        self.reader_gone = reader_gone


class _Descriptor(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputError(error.strerror or str(error), reader_gone=error.errno == errno.EPIPE) from error


def run(command: Callable[[], object]) -> None:
    """Run a command whose results go to standard output, to its end or to the first of them that could not be written.

    Raises:
        SystemExit: with the command's own exit code, or with the one of a lost output. A reader that has gone is told nothing, for
            that is how `| head` ends; anything else is one line on standard error.
    """
    if sys.stdout is None:
        command()
        return
    sys.stdout = _watched(sys.stdout)
    try:
        try:
            command()
        finally:
            sys.stdout.flush()
    except BaseException as error:
        lost = next((each for each in _leaves(error) if isinstance(each, OutputError)), None)
        if lost is None:
            raise
        _end(lost)


def _watched(stdout: Any) -> io.TextIOWrapper:
    stdout.flush()
    buffer = io.BufferedWriter(_Descriptor(stdout.fileno(), "wb", closefd=False))
    return io.TextIOWrapper(buffer, encoding=stdout.encoding, errors=stdout.errors, line_buffering=stdout.line_buffering)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _end(lost: OutputError) -> None:
    # What is still buffered would fail once more when the interpreter ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if lost.reader_gone:
        raise SystemExit(int(Exit.READER_GONE)) from None
    failure = Failure("output_failed", f"the output could not be written: {lost}", Exit.OUTPUT_FAILED)
    # The command that knew how it was called has ended.
    failure.as_json = "--json" in sys.argv
    with suppress(OSError):
        failure.show()
    raise SystemExit(failure.exit_code) from None
