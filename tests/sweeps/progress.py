"""What a sweep has done so far, in a file to which each piece of work adds one line when it has ended.

Lives here: reading and adding. Must not live here: what a line means, but for its `key`. A process that is killed leaves at most one line
that cannot be read, and its piece is done again.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from tests.sweeps.program import Program

FOLDER = Path(".sweeps")
"""Not under version control."""


class Progress:
    """The lines of one sweep over one program. A context manager.

    Attributes:
        rows: key of a piece to its line.
    """

    def __init__(self, folder: Path, sweep: str, about: Program) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{sweep}-{about.digest}.jsonl"
        self.rows: dict[str, dict[str, Any]] = {}
        self._file: TextIO | None = None

    def __enter__(self) -> Progress:
        text = self.path.read_text("utf-8") if self.path.exists() else ""
        for line in text.splitlines():
            try:
                row = json.loads(line)
                self.rows[str(row["key"])] = row
            except (ValueError, KeyError, TypeError):
                continue
        self._file = self.path.open("a", encoding="utf-8")
        if text and not text.endswith("\n"):
            self._file.write("\n")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._file is not None
        self._file.close()

    def add(self, key: str, **told: Any) -> None:
        """A piece has ended."""
        assert self._file is not None
        row = {"key": key, **told}
        self.rows[key] = row
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
