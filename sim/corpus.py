"""The folder of an exploration: documents that touched something new, what was touched so far, and the failures that were found.

Lives here: reading and writing the folder, so that an exploration can be taken up again. Must not live here: which documents are tried.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from sim.scenario.failures import Failure
from sim.scenario.load import ScenarioError, parse
from sim.scenario.write import Document, to_toml

STATE: Final = "state.json"
FAILURES: Final = "failures"
COMMENT_FEATURES_MAX: Final = 12


@attrs.define
class Counts:
    """What an exploration has done so far, in all its parts.

    Attributes:
        made: documents made; `rejected` of them were no scenarios.
        steps: steps of the others; `impossible` of them could not happen at their time.
    """

    made: int = 0
    rejected: int = 0
    runs: int = 0
    steps: int = 0
    impossible: int = 0


class CorpusError(Exception):
    """The folder took no more.

    Attributes:
        path: what could not be written.
        reason: what the system said.
    """

    def __init__(self, path: Path, reason: OSError) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class Corpus:
    """The folder. Damaged files in it are passed over: they can only cost coverage.

    Attributes:
        documents: those that touched something new, oldest first.
        features: what was touched, to how many runs touched it.
        failures: the identity of each failure that was found, to its file.

    Raises:
        CorpusError: by all that writes: it could not.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts = Counts()
        self.documents: list[Document] = []
        self.features: dict[str, int] = {}
        self.failures: dict[str, Path] = {}
        with _writing(folder):
            (folder / FAILURES).mkdir(parents=True, exist_ok=True)
        self._read()

    def _read(self) -> None:
        try:
            state = json.loads((self.folder / STATE).read_text("utf-8"))
            self.counts = Counts(**state["counts"])
            self.features = {str(name): int(count) for name, count in state["features"].items()}
            self.failures = {str(each["identity"]): self.folder / FAILURES / each["file"] for each in state["failures"]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # What was touched is found again by running the documents.
            self.counts, self.features, self.failures = Counts(), {}, {}
        for file in sorted(self.folder.glob("*.toml")):
            try:
                text = file.read_text("utf-8")
                parse(text, str(file))
            except (OSError, UnicodeDecodeError, ScenarioError):
                continue
            self.documents.append(tomllib.loads(text))

    def save(self) -> None:
        """Write down what was touched; documents are there already."""
        failures = [{"identity": identity, "file": file.name} for identity, file in self.failures.items()]
        state = {"counts": attrs.asdict(self.counts), "features": self.features, "failures": failures}
        draft = self.folder / f"{STATE}.new"
        with _writing(draft):
            draft.write_text(json.dumps(state, indent=1), encoding="utf-8")
            draft.replace(self.folder / STATE)

    def touch(self, features: Iterable[str]) -> list[str]:
        """Count what a run has touched; what of it is new."""
        new = []
        for name in features:
            count = self.features.get(name, 0)
            self.features[name] = count + 1
            if not count:
                new.append(name)
        return new

    def add(self, document: Document, new: list[str]) -> None:
        """Keep a document that touched something new."""
        self.documents.append(document)
        more = len(new) - COMMENT_FEATURES_MAX
        told = [*new[:COMMENT_FEATURES_MAX], *([f"and {more} more"] if more > 0 else [])]
        path = self.folder / f"{len(self.documents):05}-{_short(document)}.toml"
        with _writing(path):
            path.write_text(to_toml(document, comment="Touched first:\n" + "\n".join(told)), encoding="utf-8")

    def fail(self, failure: Failure, text: str) -> Path:
        """Keep a way to fail that was not known."""
        digest = hashlib.blake2b(failure.identity.encode(), digest_size=4).hexdigest()
        path = self.folder / FAILURES / f"{failure.checker}-{digest}.toml"
        with _writing(path):
            path.write_text(text, encoding="utf-8")
        self.failures[failure.identity] = path
        return path


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CorpusError(path, error) from error


def _short(document: dict[str, Any]) -> str:
    return hashlib.blake2b(to_toml(document).encode(), digest_size=4).hexdigest()
