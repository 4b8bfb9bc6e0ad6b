"""The store port's contract: the same tests against SQLite and against memory. What only one side can show stands elsewhere."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.store.chain import GENESIS, total, verify
from runtime.store.port import (
    AuditDraft,
    BatchResult,
    Committed,
    Condition,
    Delete,
    EventDraft,
    Kind,
    LedgerEntry,
    Prune,
    Pruned,
    Put,
    PutEvidence,
    Query,
    Refused,
    Row,
    Store,
    StoreError,
    Unit,
    Write,
)
from runtime.store.sqlite import SqliteStore
from runtime.values import evolve
from sim.store import MemoryStore


@attrs.frozen
class Ship:
    id: str
    version: int
    name: str
    flag: str | None = None
    berth: str | None = None
    tons: int = 0
    speed: float | None = None
    due_at: float | None = None
    sailing: bool = False
    crew: tuple[str, ...] = ()


@attrs.frozen
class Sighting:
    at: float
    by: str | None = None


@attrs.frozen
class Note:
    id: str
    version: int
    text: str = ""


SHIP = Kind(
    name="ship",
    record=Ship,
    columns={"flag": "text", "tons": "integer", "speed": "real"},
    project=lambda ship: {"flag": ship.flag, "tons": ship.tons, "speed": ship.speed},
    unique={"name": "name_taken", "berth": "berth_taken"},
    keys=lambda ship: {"name": ship.name, "berth": ship.berth},
    due=lambda ship: ship.due_at,
    resume=lambda ship: ship.sailing,
    evidence=Sighting,
    evidence_columns={"seen_at": "real", "seen_by": "text"},
    project_evidence=lambda sighting: {"seen_at": sighting.at, "seen_by": sighting.by},
)
NOTE = Kind(name="note", record=Note)


class Harness:
    """A store, and commits that wait for their outcome in this thread."""

    def __init__(self, open_store: Callable[[Callable[[Callable[[], None]], None]], Store]) -> None:
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.store = open_store(self._inbox.put)

    def commit(self, *units: Sequence[Write]) -> BatchResult:
        outcome: list[BatchResult] = []
        self.store.commit([Unit(tuple(unit)) for unit in units], outcome.append)
        while not outcome:
            self._inbox.get(timeout=120)()
        assert len(outcome) == 1
        return outcome[0]

    def ok(self, *writes: Write) -> Committed:
        result = self.commit(writes)
        assert isinstance(result, tuple)
        assert isinstance(result[0], Committed), result
        return result[0]

    def refused(self, *writes: Write) -> Refused:
        result = self.commit(writes)
        assert isinstance(result, tuple)
        assert isinstance(result[0], Refused), result
        return result[0]

    def ids(self, query: Query) -> list[str]:
        return [row.record.id for row in self.store.query(query)]


def open_harness(side: str, directory: Path, kinds: Sequence[Kind] = (SHIP, NOTE)) -> Harness:
    if side == "memory":
        return Harness(lambda _: MemoryStore(kinds, strict=True))
    return Harness(lambda deliver: SqliteStore.open(directory / "store.db", kinds, deliver=deliver))


@pytest.fixture(params=["memory", "sqlite"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    opened = open_harness(request.param, tmp_path)
    yield opened
    opened.store.close()


def audit(chain: str = "peer-1", action: str = "proposed", **payload: Any) -> AuditDraft:
    return AuditDraft(chain, action, 1000, "operator", None, payload)


def event(kind: str = "peer.proposed", **payload: Any) -> EventDraft:
    return EventDraft(kind, "low", 1000.5, "account-1", payload)


# Rows


def test_a_row_comes_back_as_it_was_written(harness: Harness) -> None:
    ship = Ship("a", 1, "Ærø ☃", "dk", None, 2**62, 0.1, 5.5, True, ("x", "y"))
    harness.ok(Put("ship", ship))
    assert harness.store.load("ship", "a") == Row(ship, None)
    assert harness.store.load("ship", "b") is None
    assert harness.store.load("note", "a") is None


def test_insert_needs_a_new_id(harness: Harness) -> None:
    harness.ok(Put("ship", Ship("a", 1, "one")))
    assert harness.refused(Put("ship", Ship("a", 2, "two"))) == Refused("version", "ship")


@pytest.mark.parametrize("expected", [0, 2, 7])
def test_update_needs_the_stored_version(harness: Harness, expected: int) -> None:
    harness.ok(Put("ship", Ship("a", 1, "one")))
    assert harness.refused(Put("ship", Ship("a", 3, "one"), expected)) == Refused("version", "ship")
    harness.ok(Put("ship", Ship("a", 2, "one"), 1))
    row = harness.store.load("ship", "a")
    assert row is not None
    assert row.record.version == 2


def test_update_of_an_absent_row_is_refused(harness: Harness) -> None:
    assert harness.refused(Put("ship", Ship("a", 2, "one"), 1)) == Refused("version", "ship")


def test_delete_frees_id_and_keys_and_may_repeat(harness: Harness) -> None:
    harness.ok(Put("ship", Ship("a", 1, "one")), PutEvidence("ship", "a", Sighting(1.0)))
    harness.ok(Delete("ship", "a"), Delete("ship", "a"))
    assert harness.store.lookup("ship", "name", "one") is None
    harness.ok(Put("ship", Ship("a", 1, "one")))
    assert harness.store.load("ship", "a") == Row(Ship("a", 1, "one"), None)


# Unique keys


def test_a_taken_key_is_refused_with_its_code(harness: Harness) -> None:
    harness.ok(Put("ship", Ship("a", 1, "one", berth="b1")))
    assert harness.refused(Put("ship", Ship("b", 1, "one"))) == Refused("unique", "ship", "name", "name_taken")
    assert harness.refused(Put("ship", Ship("b", 1, "two", berth="b1"))) == Refused("unique", "ship", "berth", "berth_taken")
    harness.ok(Put("ship", Ship("b", 1, "two")))
    assert harness.refused(Put("ship", Ship("b", 2, "one"), 1)) == Refused("unique", "ship", "name", "name_taken")


def test_of_two_taken_keys_the_first_declared_is_named(harness: Harness) -> None:
    harness.ok(Put("ship", Ship("a", 1, "one", berth="b1")), Put("ship", Ship("b", 1, "two", berth="b2")))
    assert harness.refused(Put("ship", Ship("c", 1, "one", berth="b2"))).key == "name"


def test_absent_keys_do_not_collide_and_a_row_keeps_its_own(harness: Harness) -> None:
    harness.ok(Put("ship", Ship("a", 1, "one")), Put("ship", Ship("b", 1, "two")))
    harness.ok(Put("ship", Ship("a", 2, "one", tons=5), 1))


def test_a_key_given_up_in_a_unit_can_be_taken_in_it(harness: Harness) -> None:
    harness.ok(Put("ship", Ship("a", 1, "one")))
    harness.ok(Put("ship", Ship("a", 2, "other"), 1), Put("ship", Ship("b", 1, "one")))
    assert harness.store.lookup("ship", "name", "one") == "b"
    assert harness.store.lookup("ship", "name", "other") == "a"


def test_lookup_of_an_undeclared_key_is_an_error(harness: Harness) -> None:
    with pytest.raises(ValueError, match="no unique key"):
        harness.store.lookup("ship", "flag", "dk")


# Units


def test_a_refused_unit_leaves_nothing_and_its_neighbours_stand(harness: Harness) -> None:
    results = harness.commit(
        [Put("ship", Ship("a", 1, "one")), audit(n=1), event(n=1)],
        [Put("ship", Ship("b", 1, "two")), Delete("ship", "a"), audit(n=2), audit("peer-2"), event(n=2), Put("ship", Ship("b", 1, "x"))],
        [Put("ship", Ship("c", 1, "three")), audit(n=3), audit("peer-2", n=4), event(n=3)],
    )
    assert isinstance(results, tuple)
    assert [type(result) for result in results] == [Committed, Refused, Committed]
    assert harness.ids(Query("ship", newest_first=False)) == ["a", "c"]
    assert harness.store.lookup("ship", "name", "one") == "a"
    assert harness.store.lookup("ship", "name", "two") is None
    assert [e.payload["n"] for e in harness.store.audit("peer-1", 0, 10)] == [1, 3]
    assert [e.payload["n"] for e in harness.store.audit("peer-2", 0, 10)] == [4]
    assert [(e.cursor, e.payload["n"]) for e in harness.store.events(0, 10)] == [(1, 1), (2, 3)]


def test_a_later_unit_sees_an_earlier_one(harness: Harness) -> None:
    results = harness.commit([Put("ship", Ship("a", 1, "one"))], [Put("ship", Ship("a", 2, "one"), 1)], [Put("ship", Ship("b", 1, "one"))])
    assert isinstance(results, tuple)
    assert [type(result) for result in results] == [Committed, Committed, Refused]


def test_an_empty_batch_and_an_empty_unit_commit(harness: Harness) -> None:
    assert harness.commit() == ()
    assert harness.commit([]) == (Committed(),)


@pytest.mark.parametrize(
    "write",
    [
        Put("unheard_of", Note("a", 1)),
        Put("note", Ship("a", 1, "one")),
        Put("ship", Ship("a", 1, "one", speed=float("nan"))),
        Put("ship", Ship("a", 1, "one", crew=("\ud800",))),
        Put("ship", Ship("a", 1, "one", crew=["x"])),  # type: ignore[arg-type]
        Put("ship", Ship("a", 1, "one", flag=5)),  # type: ignore[arg-type]
        PutEvidence("note", "a", Sighting(1.0)),
    ],
)
def test_what_cannot_be_stored_fails_its_unit_alone(harness: Harness, write: Write) -> None:
    results = harness.commit([Put("note", Note("x", 1)), event(), write], [Put("note", Note("y", 1))])
    assert isinstance(results, tuple)
    assert isinstance(results[0], Refused)
    assert results[0].reason == "constraint"
    assert isinstance(results[1], Committed)
    assert harness.ids(Query("note")) == ["y"]
    assert harness.store.last_cursor() == 0


# Logs


def test_events_are_numbered_in_order_without_gaps(harness: Harness) -> None:
    assert harness.store.last_cursor() == 0
    first = harness.ok(event(n=1), event(n=2))
    second = harness.ok(event("grant.issued", n=3))
    assert [e.cursor for e in (*first.events, *second.events)] == [1, 2, 3]
    assert harness.store.events(0, 10) == [*first.events, *second.events]
    assert harness.store.events(1, 1) == [first.events[1]]
    assert harness.store.events(3, 10) == []
    assert harness.store.last_cursor() == 3


def test_each_chain_is_numbered_and_linked_by_itself(harness: Harness) -> None:
    first = harness.ok(audit("p", n=1), audit("q", n=2), audit("p", text="ß", deep={"b": [1.5, None], "a": True}))
    written = [first, harness.ok(audit("p"))]
    entries = harness.store.audit("p", 0, 10)
    assert entries == [entry for result in written for entry in result.entries if entry.chain == "p"]
    assert [e.sequence for e in entries] == [1, 2, 3]
    assert entries[0].previous_hash == GENESIS
    assert verify(entries) is None
    assert verify(harness.store.audit("q", 0, 10)) is None
    assert harness.store.audit("p", 1, 1) == entries[1:2]
    assert harness.store.audit("nobody", 0, 10) == []
    assert harness.store.audit_head("p") == entries[-1]
    assert harness.store.audit_head("nobody") is None


def test_the_ledger_has_the_entries_of_all_chains_and_none_of_a_refused_unit(harness: Harness) -> None:
    assert harness.store.ledger_head() is None
    first = harness.ok(audit("p", n=1), audit("q", n=2)).entries
    harness.refused(audit("p", n=3), Put("ship", Ship("a", 1, "n1", "dk"), 7))
    entries = [*first, *harness.ok(audit("p", n=4)).entries]
    expected = GENESIS
    for entry in entries:
        expected = total(expected, entry.chain, entry.sequence, entry.hash)
    assert harness.store.ledger_head() == LedgerEntry(3, "p", 2, entries[-1].hash, expected)


def pruning(harness: Harness, sequence: int, hash: str | None = None) -> Prune:
    found = harness.store.audit("p", sequence - 1, 1)
    return Prune("p", sequence, found[0].hash if hash is None else hash, "shipment", 7)


def test_what_is_pruned_leaves_an_anchor_and_the_chain_goes_on(harness: Harness) -> None:
    entries = harness.ok(*(audit("p", n=number) for number in range(5)), audit("q")).entries
    head = harness.store.ledger_head()
    assert head is not None
    assert harness.store.audit_pruned("p") is None
    harness.ok(pruning(harness, 2))
    assert harness.store.audit_pruned("p") == Pruned("p", 2, entries[1].hash, head.head, "shipment", 7.0)
    assert harness.store.audit_pruned("q") is None
    assert harness.store.audit("p", 0, 9) == harness.store.audit("p", 2, 9) == list(entries[2:5])
    assert harness.store.audit("p", 3, 1) == [entries[3]]
    assert verify(harness.store.audit("p", 2, 9), 2, entries[1].hash) is None
    assert harness.store.audit("q", 0, 9) == [entries[5]]
    harness.ok(pruning(harness, 4), audit("p", n=5))
    after = harness.store.audit("p", 4, 9)
    assert [entry.sequence for entry in after] == [5, 6]
    assert verify(after, 4, entries[3].hash) is None
    assert harness.store.audit_head("p") == after[-1]


def test_only_what_is_there_and_is_not_the_end_can_be_pruned(harness: Harness) -> None:
    entries = harness.ok(*(audit("p", n=number) for number in range(3))).entries
    refused = [
        pruning(harness, 3), Prune("p", 4, entries[2].hash, "x", 7), Prune("p", 0, GENESIS, "x", 7), pruning(harness, 2, entries[0].hash),
        Prune("q", 1, entries[0].hash, "x", 7),
    ]  # fmt: skip
    assert [harness.refused(write).reason for write in refused] == ["constraint"] * 5
    harness.ok(pruning(harness, 2))
    assert [harness.refused(Prune("p", each.sequence, each.hash, "x", 7)).reason for each in entries] == ["constraint"] * 3
    assert harness.store.audit("p", 0, 9) == [entries[2]]


def test_a_refused_unit_prunes_nothing(harness: Harness) -> None:
    entries = harness.ok(*(audit("p", n=number) for number in range(3))).entries
    harness.refused(pruning(harness, 2), audit("p", n=3), Put("ship", Ship("a", 1, "n1", "dk"), 7))
    assert (harness.store.audit("p", 0, 9), harness.store.audit_pruned("p")) == (list(entries), None)


def test_a_draft_with_a_whole_number_of_seconds_verifies_after_storage(harness: Harness) -> None:
    harness.ok(AuditDraft("p", "x", 7, "system", "me", {}))
    assert verify(harness.store.audit("p", 0, 1)) is None


# Queries


def fleet(harness: Harness) -> None:
    harness.ok(
        Put("ship", Ship("a", 1, "n1", "dk", tons=1, speed=1.0)),
        Put("ship", Ship("b", 1, "n2", "dk", tons=2)),
        Put("ship", Ship("c", 1, "n3", "se", tons=3, speed=3.0)),
        Put("ship", Ship("d", 1, "n4", None, tons=4, speed=4.5)),
        PutEvidence("ship", "b", Sighting(10.0, "gull")),
        PutEvidence("ship", "c", Sighting(20.0)),
    )


@pytest.mark.parametrize(
    ("any_of", "expected"),
    [
        ((), "abcd"),
        (((),), "abcd"),
        (((Condition("flag", "=", "dk"),),), "ab"),
        (((Condition("flag", "!=", "dk"),),), "c"),
        (((Condition("flag", "=", None),),), ""),
        (((Condition("flag", "null"),),), "d"),
        (((Condition("flag", "not null"),),), "abc"),
        (((Condition("flag", "in", ("se", "no", None)),),), "c"),
        (((Condition("flag", "in", ()),),), ""),
        (((Condition("flag", ">", "dk"),),), "c"),
        (((Condition("tons", ">=", 2), Condition("tons", "<", 4)),), "bc"),
        (((Condition("speed", "<=", 3),),), "ac"),
        (((Condition("speed", "!=", 1.0),),), "cd"),
        (((Condition("tons", "=", 1),), (Condition("flag", "=", "se"), Condition("speed", ">", 2.5))), "ac"),
        (((Condition("seen_at", "<", 15),),), "b"),
        (((Condition("seen_by", "null"),),), "acd"),
        (((Condition("seen_at", "not null"), Condition("seen_by", "null")),), "c"),
        (((Condition("id", ">", "b"), Condition("flag", "not null")),), "c"),
        (((Condition("flag", "=", "x' or 1=1 --"),),), ""),
    ],
)
def test_predicates(harness: Harness, any_of: tuple[tuple[Condition, ...], ...], expected: str) -> None:
    fleet(harness)
    assert harness.ids(Query("ship", any_of, newest_first=False)) == list(expected)
    assert harness.ids(Query("ship", any_of)) == list(reversed(expected))
    assert harness.store.count(Query("ship", any_of, after_id="c", limit=1)) == len(expected)


def test_pages_in_the_order_of_a_column(harness: Harness) -> None:
    for id, tons, flag in (("a", 3, "dk"), ("b", 1, "dk"), ("c", 3, "dk"), ("d", 2, "se"), ("e", 1, "dk")):
        harness.ok(Put("ship", Ship(id, 1, f"n{id}", flag=flag, tons=tons, speed=None if id == "a" else float(tons))))
    danish = ((Condition("flag", "=", "dk"),),)
    rising = Query("ship", danish, newest_first=False, order_by="tons")
    assert harness.ids(rising) == ["b", "e", "a", "c"]
    assert harness.ids(evolve(rising, newest_first=True)) == ["c", "a", "e", "b"]
    assert harness.ids(evolve(rising, limit=2)) == ["b", "e"]
    assert harness.ids(evolve(rising, after_value=1, after_id="e", limit=1)) == ["a"]
    assert harness.ids(evolve(rising, after_value=1, after_id="bb")) == ["e", "a", "c"]
    assert harness.ids(evolve(rising, newest_first=True, after_value=3, after_id="c")) == ["a", "e", "b"]
    # A row without a value has no place in the order.
    assert harness.ids(Query("ship", newest_first=False, order_by="speed")) == ["b", "e", "d", "c"]


def test_a_declared_index_serves_the_order_without_sorting(tmp_path: Path) -> None:
    kind = evolve(SHIP, indexes=(("flag", "tons"),), unindexed=frozenset({"tons"}))
    harness = open_harness("sqlite", tmp_path, [kind])
    assert isinstance(harness.store, SqliteStore)
    page = Query("ship", ((Condition("flag", "=", "dk"),),), newest_first=False, after_value=3, after_id="a", limit=10, order_by="tons")
    statement, bound = harness.store._table("ship").select(page)
    plan = " ".join(str(row[3]) for row in harness.store._fetch(f"explain query plan {statement}", bound))
    assert "ship__flag__tons__" in plan
    assert "TEMP B-TREE" not in plan
    harness.store.close()


def test_pages(harness: Harness) -> None:
    fleet(harness)
    assert harness.ids(Query("ship", limit=2)) == ["d", "c"]
    assert harness.ids(Query("ship", after_id="c", limit=5)) == ["b", "a"]
    assert harness.ids(Query("ship", newest_first=False, after_id="b", limit=1)) == ["c"]
    assert harness.ids(Query("ship", newest_first=False, after_id="bb")) == ["c", "d"]
    assert harness.ids(Query("ship", after_id="bb")) == ["b", "a"]
    assert harness.ids(Query("ship", limit=0)) == []
    either = ((Condition("flag", "=", "dk"),), (Condition("tons", ">", 3),))
    assert harness.ids(Query("ship", either, after_id="d")) == ["b", "a"]


@pytest.mark.parametrize(
    "query",
    [
        Query("unheard_of"),
        Query("ship", limit=-1),
        Query("ship", ((Condition("name", "=", "x"),),)),
        Query("ship", ((Condition("flag", "=", 5),),)),
        Query("ship", ((Condition("tons", "=", "5"),),)),
        Query("ship", ((Condition("tons", "in", 5),),)),
        Query("ship", ((Condition("tons", "=", (5,)),),)),
        Query("ship", ((Condition("tons", "like", 5),),)),  # type: ignore[arg-type]
        Query("ship", order_by="name"),
        Query("ship", order_by="seen_at"),
        Query("ship", after_value=5),
        Query("ship", order_by="tons", after_value=5),
        Query("ship", order_by="tons", after_id="a"),
        Query("ship", order_by="tons", after_id="a", after_value="5"),
    ],
)
def test_a_query_outside_the_declaration_is_an_error(harness: Harness, query: Query) -> None:
    with pytest.raises(ValueError):
        harness.store.query(query)
    with pytest.raises(ValueError):
        harness.store.query_ids(query)
    if query.limit is None:
        with pytest.raises(ValueError):
            harness.store.count(query)


def test_due_and_resumable(harness: Harness) -> None:
    harness.ok(Put("ship", Ship("a", 1, "n1", due_at=5.0)), Put("ship", Ship("b", 1, "n2", sailing=True)), Put("note", Note("n", 1)))
    assert list(harness.store.due()) == [("ship", "a", 5.0)]
    assert list(harness.store.resumable()) == [("ship", "b")]
    harness.ok(Put("ship", Ship("a", 2, "n1", sailing=True), 1), Put("ship", Ship("b", 2, "n2", due_at=0.0), 1))
    assert list(harness.store.due()) == [("ship", "b", 0.0)]
    assert list(harness.store.resumable()) == [("ship", "a")]


# Evidence and facts


def test_evidence_stands_beside_the_record_and_survives_its_updates(harness: Harness) -> None:
    harness.ok(Put("ship", Ship("a", 1, "one")), PutEvidence("ship", "nobody", Sighting(0.0)))
    harness.ok(PutEvidence("ship", "a", Sighting(1.0, "gull")))
    assert harness.store.load("ship", "a") == Row(Ship("a", 1, "one"), Sighting(1.0, "gull"))
    harness.ok(Put("ship", Ship("a", 2, "one"), 1))
    assert harness.store.load("ship", "a") == Row(Ship("a", 2, "one"), Sighting(1.0, "gull"))
    assert harness.store.count(Query("ship")) == 1


def test_evidence_of_a_refused_unit_is_undone(harness: Harness) -> None:
    harness.ok(Put("ship", Ship("a", 1, "one")), PutEvidence("ship", "a", Sighting(1.0)))
    harness.refused(PutEvidence("ship", "a", Sighting(2.0)), Put("ship", Ship("a", 1, "one")))
    assert harness.store.load("ship", "a") == Row(Ship("a", 1, "one"), Sighting(1.0))


def test_facts_and_the_epoch(harness: Harness) -> None:
    assert harness.store.meta_get("instance_id") is None
    harness.store.meta_set("instance_id", "i")
    harness.store.meta_set("instance_id", "j")
    assert harness.store.meta_get("instance_id") == "j"
    assert [harness.store.bump_epoch(), harness.store.bump_epoch()] == [1, 2]
    assert harness.store.meta_get("boot_epoch") == "2"


def test_a_closed_store_refuses_everything(harness: Harness) -> None:
    assert harness.store.writable()
    harness.store.close()
    assert not harness.store.writable()
    with pytest.raises(StoreError, match="closed"):
        harness.store.load("ship", "a")
    with pytest.raises(StoreError, match="closed"):
        harness.store.commit([], lambda _: None)
    with pytest.raises(StoreError, match="closed"):
        harness.store.meta_set("a", "b")
    harness.store.close()


@pytest.mark.parametrize("side", ["memory", "sqlite"])
@pytest.mark.parametrize(
    "kinds",
    [
        [Kind("ship", Ship), Kind("ship", Ship)],
        [Kind("Ship", Ship)],
        [Kind("store_ship", Ship)],
        [Kind("ship", Ship, columns={"version": "integer"})],
        [Kind("ship", Ship, columns={"key_name": "text"})],
        [Kind("ship", Ship, columns={"seen": "real"}, evidence_columns={"seen": "real"})],
        [Kind("ship", Ship, unique={'na"me': "x"})],
    ],
)
def test_a_wrong_declaration_is_an_error(side: str, kinds: list[Kind], tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        open_harness(side, tmp_path, kinds)


# Against a model

_ids = st.sampled_from("abcd")
_ships = st.builds(
    Ship,
    id=_ids,
    version=st.integers(1, 3),
    name=st.sampled_from(["n1", "n2", "n3"]),
    flag=st.sampled_from([None, "dk", "se"]),
    berth=st.sampled_from([None, None, "b1"]),
    tons=st.integers(0, 2),
    due_at=st.sampled_from([None, 1.0, 2.0]),
    sailing=st.booleans(),
)
_writes = st.one_of(
    st.builds(Put, st.just("ship"), _ships, st.sampled_from([None, None, 1, 2])),
    st.builds(Delete, st.just("ship"), _ids),
    st.builds(PutEvidence, st.just("ship"), _ids, st.builds(Sighting, st.sampled_from([1.0, 2.0]), st.sampled_from([None, "gull"]))),
    st.builds(lambda chain, n: audit(chain, n=n), st.sampled_from("pq"), st.integers(0, 9)),
    st.builds(lambda n: event(n=n), st.integers(0, 9)),
)
_batches = st.lists(st.lists(st.lists(_writes, max_size=5), min_size=1, max_size=4), min_size=1, max_size=6)
_conditions = st.one_of(
    st.builds(Condition, st.just("flag"), st.sampled_from(["=", "!=", "<", "null", "not null"]), st.sampled_from([None, "dk", "se"])),
    st.builds(Condition, st.just("tons"), st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), st.sampled_from([0, 1, 1.5])),
    st.builds(Condition, st.just("seen_by"), st.just("in"), st.sampled_from([(), ("gull",), ("gull", None)])),
)
_any_of = st.lists(st.lists(_conditions, max_size=2).map(tuple), max_size=2).map(tuple)
_limits = st.sampled_from([None, 0, 1, 2])
_places: st.SearchStrategy[tuple[str | None, int | str | None]] = st.one_of(
    st.just((None, None)),
    st.tuples(st.sampled_from(["a", "bb", "d"]), st.integers(0, 2)),
)
_queries = st.one_of(
    st.builds(Query, st.just("ship"), _any_of, st.booleans(), st.sampled_from([None, "a", "b", "bb", "d"]), _limits),
    st.builds(
        lambda any_of, newest, place, limit: Query("ship", any_of, newest, place[0], limit, order_by="tons", after_value=place[1]),
        _any_of,
        st.booleans(),
        _places,
        _limits,
    ),
)


@attrs.define
class Model:
    """The contract in the fewest words: a dict of rows and two lists."""

    rows: dict[str, Row] = attrs.field(factory=dict)
    logged: list[EventDraft] = attrs.field(factory=list)
    audited: list[AuditDraft] = attrs.field(factory=list)

    def apply(self, unit: Sequence[Write]) -> str:
        after = Model(dict(self.rows), list(self.logged), list(self.audited))
        for write in unit:
            if reason := after._write(write):
                return reason
        self.rows, self.logged, self.audited = after.rows, after.logged, after.audited
        return "committed"

    def _write(self, write: Write) -> str | None:
        match write:
            case Put(record=ship, expected_version=expected):
                former = self.rows.get(ship.id)
                if expected != (former.record.version if former else None):
                    return "version"
                others = [row.record for row in self.rows.values() if row.record.id != ship.id]
                if any(other.name == ship.name for other in others):
                    return "name_taken"
                if ship.berth is not None and any(other.berth == ship.berth for other in others):
                    return "berth_taken"
                self.rows[ship.id] = Row(ship, former.evidence if former else None)
            case Delete(id=id):
                self.rows.pop(id, None)
            case PutEvidence(id=id, evidence=evidence):
                if id in self.rows:
                    self.rows[id] = Row(self.rows[id].record, evidence)
            case AuditDraft():
                self.audited.append(write)
            case EventDraft():
                self.logged.append(write)
        return None

    def query(self, query: Query) -> list[Row]:
        def place(row: Row) -> tuple[Any, ...]:
            return (row.record.id,) if query.order_by is None else (row.record.tons, row.record.id)

        rows = sorted((row for row in self.rows.values() if self._matches(row, query)), key=place, reverse=query.newest_first)
        if query.after_id is not None:
            after = (query.after_id,) if query.order_by is None else (query.after_value, query.after_id)
            rows = [row for row in rows if (place(row) < after if query.newest_first else place(row) > after)]
        return rows[: query.limit]

    def _matches(self, row: Row, query: Query) -> bool:
        values = {"flag": row.record.flag, "tons": row.record.tons, "seen_by": row.evidence.by if row.evidence else None}
        return not query.any_of or any(all(self._holds(values[c.column], c) for c in conjunction) for conjunction in query.any_of)

    def _holds(self, value: Any, condition: Condition) -> bool:
        match condition.operator, condition.value:
            case "null", _:
                return value is None
            case "not null", _:
                return value is not None
            case "in", tuple(values):
                return value is not None and value in values
            case _, None:
                return False
            case sign, other:
                tests = {"=": "__eq__", "!=": "__ne__", "<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__"}
                return value is not None and getattr(type(other)(value) if isinstance(other, float) else value, tests[sign])(other)


def outcome_of(result: Committed | Refused) -> str:
    return "committed" if isinstance(result, Committed) else result.code or result.reason


@pytest.mark.parametrize("side", ["memory", "sqlite"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=_batches, queries=st.lists(_queries, max_size=6))
def test_any_units_do_what_the_model_does(
    side: str, batches: list[list[list[Write]]], queries: list[Query], tmp_path_factory: pytest.TempPathFactory
) -> None:
    harness, model = open_harness(side, tmp_path_factory.mktemp("model")), Model()
    try:
        for batch in batches:
            results = harness.commit(*batch)
            assert isinstance(results, tuple)
            assert [outcome_of(result) for result in results] == [model.apply(unit) for unit in batch]
            for query in (Query("ship"), *queries):
                assert harness.store.query(query) == model.query(query)
                assert harness.store.query_ids(query) == [row.record.id for row in model.query(query)]
                whole = evolve(query, after_id=None, after_value=None, limit=None)
                assert harness.store.count(query) == len(model.query(whole))
        check_everything(harness.store, model)
    finally:
        harness.store.close()


def check_everything(store: Store, model: Model) -> None:
    ships = [row.record for row in model.rows.values()]
    for name in ("n1", "n2", "n3"):
        assert store.lookup("ship", "name", name) == next((ship.id for ship in ships if ship.name == name), None)
    assert sorted(store.due()) == sorted(("ship", ship.id, ship.due_at) for ship in ships if ship.due_at is not None)
    assert sorted(store.resumable()) == sorted(("ship", ship.id) for ship in ships if ship.sailing)
    events = store.events(0, 1000)
    assert [e.cursor for e in events] == list(range(1, len(model.logged) + 1))
    assert [e.payload for e in events] == [draft.payload for draft in model.logged]
    assert store.last_cursor() == len(events)
    for chain in "pq":
        entries = store.audit(chain, 0, 1000)
        assert verify(entries) is None
        assert [e.payload for e in entries] == [draft.payload for draft in model.audited if draft.chain == chain]
