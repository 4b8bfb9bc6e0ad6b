"""The runs of an account's periodic works, as evidence beside one small row.

Lives here: the row, its evidence, and how a run is added; pure. Must not live here: which works there are (`works`), or the runs of daily
work, which stand in records of their own (`daily`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from actors.periodic.messages import NoteRun
from actors.periodic.works import PERIODIC
from runtime.store.port import Kind


@attrs.frozen
class Runs:
    """Runs of one work.

    Attributes:
        last_run_at: when the last one ended, seconds since the epoch.
        last_error: the code of what the last one met; None if nothing.
    """

    last_run_at: float | None = None
    last_error: str | None = None
    runs: int = 0


@attrs.frozen(kw_only=True)
class PeriodicRecord:
    """One row for each account, whose id is `id`; it says nothing by itself."""

    id: str
    version: int = 0


@attrs.frozen
class PeriodicEvidence:
    """The runs by the name of the work."""

    works: Mapping[str, Runs] = attrs.field(factory=dict)


KIND: Final = Kind(name=PERIODIC, record=PeriodicRecord, evidence=PeriodicEvidence)


def with_run(evidence: PeriodicEvidence | None, noted: NoteRun) -> PeriodicEvidence:
    """The evidence with one run more."""
    works = evidence.works if evidence is not None else {}
    former = works.get(noted.work, Runs())
    return PeriodicEvidence({**works, noted.work: Runs(noted.at, noted.error, former.runs + 1)})
