"""What records show is made once for each state, and never of another state."""

from __future__ import annotations

import pytest

from actors.door.resources.shown import Shown
from actors.resource import projection
from actors.resource.record import ResourceRecord
from runtime.values import evolve


def record(number: int = 1, **changes: object) -> ResourceRecord:
    made = ResourceRecord(
        id=f"0190c0de-0000-7000-8000-{number:012x}",
        version=1,
        account_id="0190c0de-0000-7000-8000-0000000000aa",
        kind="NodeModule",
        attributes={"name": f"nginx-{number}"},
        created_at=1e9,
        updated_at=1e9,
    )
    return evolve(made, **changes)


def test_every_state_shows_what_it_exports() -> None:
    shown, first = Shown(), record()
    states = [first, evolve(first, version=2), evolve(first, deleted_at=2e9, attributes={}), first, evolve(first), record(2)]
    for state in states * 2:
        assert shown.of(state) == projection.exported(state)
    assert len(shown) == 2


def test_a_state_is_exported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    exported, made = projection.exported, []

    def counted(record: ResourceRecord) -> object:
        made.append(record.id)
        return exported(record)

    monkeypatch.setattr(projection, "exported", counted)
    shown, first = Shown(), record()
    for _ in range(5):
        shown.of(first)
    assert made == [first.id]


def test_the_record_asked_for_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    exported, made = projection.exported, []

    def counted(record: ResourceRecord) -> object:
        made.append(record.id)
        return exported(record)

    monkeypatch.setattr(projection, "exported", counted)
    shown, records = Shown(limit=2), [record(number) for number in range(3)]
    for each in (records[0], records[1], records[0], records[2], records[0], records[1]):
        shown.of(each)
    assert made == [records[0].id, records[1].id, records[2].id, records[1].id]
    assert len(shown) == 2
