"""The directory: what is committed shows, also where nothing was before, and strangers push nobody out."""

from __future__ import annotations

import attrs
import pytest

from runtime.directory import Directory
from runtime.limits import DIRECTORY_ABSENT_ENTRIES
from runtime.store.port import Kind, Put, Query, Row, Unit
from sim.store import MemoryStore


@attrs.frozen
class Thing:
    id: str
    version: int = 1


KIND = Kind(name="thing", record=Thing)


class CountingStore(MemoryStore):
    loads = queries = 0

    def load(self, kind: str, id: str) -> Row | None:
        self.loads += 1
        return super().load(kind, id)

    def query(self, query: Query) -> list[Row]:
        self.queries += 1
        return super().query(query)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore([KIND])


def put(store: MemoryStore, id: str) -> None:
    store.commit([Unit((Put("thing", Thing(id)),))], lambda result: None)


def test_that_a_row_is_absent_is_asked_once_until_it_is_there(store: CountingStore) -> None:
    directory = Directory(store, {"thing": KIND})
    assert directory.row("thing", "a") is None
    assert directory.row("thing", "a") is None
    assert store.loads == 1
    put(store, "a")
    directory.committed("thing", "a", Thing("a"), None)
    assert directory.row("thing", "a") == Row(Thing("a"))
    directory.committed("thing", "a", None, None)
    assert not directory._rows


def test_a_row_that_another_actor_writes_is_no_longer_absent(store: CountingStore) -> None:
    directory = Directory(store, {"thing": KIND})
    assert directory.row("thing", "a") is None
    put(store, "a")
    directory.rewritten("thing", "a", Thing("a"))
    assert directory.row("thing", "a") == Row(Thing("a"))


def test_a_reopened_store_is_asked_again(store: CountingStore) -> None:
    directory = Directory(store, {"thing": KIND})
    assert directory.row("thing", "a") is None
    put(store, "a")
    directory.reopen(store)
    assert directory.row("thing", "a") == Row(Thing("a"))


def test_names_of_nobody_push_out_no_row_and_take_bounded_room(store: CountingStore) -> None:
    directory = Directory(store, {"thing": KIND}, limit=2)
    put(store, "a")
    assert directory.row("thing", "a") is not None
    loads = store.loads
    for number in range(DIRECTORY_ABSENT_ENTRIES + 10):
        assert directory.row("thing", f"nobody {number}") is None
    assert len(directory._absent) == DIRECTORY_ABSENT_ENTRIES
    assert directory.row("thing", "a") is not None
    assert store.loads == loads + DIRECTORY_ABSENT_ENTRIES + 10


def test_a_kept_query_is_asked_again_when_a_row_of_its_kind_has_changed(store: CountingStore) -> None:
    directory = Directory(store, {"thing": KIND})
    every = Query("thing")
    assert directory.rows(every) == directory.rows(every) == ()
    assert store.queries == 1
    put(store, "a")
    directory.committed("thing", "a", Thing("a"), None)
    assert directory.rows(every) == (Row(Thing("a")),)
    put(store, "b")
    directory.rewritten("thing", "b", Thing("b"))
    assert [row.record.id for row in directory.rows(every)] == ["b", "a"]
    directory.reopen(CountingStore([KIND]))
    assert directory.rows(every) == ()
