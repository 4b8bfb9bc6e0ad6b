"""What a handler may read and do: one turn's context.

Lives here: the vocabulary of effects. Effects are gathered while the handler runs and leave only after it has returned and, if the
turn saves, after its batch has committed. Must not live here: carrying them out (see `engine`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from sys import intern
from typing import TYPE_CHECKING, Any, Literal

from runtime.actor import Actor, CallResult, Ref
from runtime.ids import uuid7
from runtime.secret import Secret
from runtime.store.port import AuditDraft, AuditEntry, Delete, EventDraft, Prune, Pruned, Put, Query, Row, Write
from runtime.values import evolve

if TYPE_CHECKING:
    from runtime.cell import Ask, Cell
    from runtime.engine import Engine


class RecordingRandom(random.Random):
    """A view of a stream whose raw draws are kept, so that a recorded turn can be run again with the same ones."""

    _source: random.Random
    _draws: list[Any]

    def watch(self, source: random.Random, draws: list[Any]) -> RecordingRandom:
        """Draw from `source` into `draws` from now on."""
        self._source = source
        self._draws = draws
        # `gauss` keeps the second of each pair that it draws; another actor must not be given it.
        self.gauss_next = None
        return self

    def random(self) -> float:
        value = self._source.random()
        self._draws.append(value)
        return value

    def getrandbits(self, k: int, /) -> int:
        value = self._source.getrandbits(k)
        self._draws.append(value)
        return value


class Context:
    """The one argument beside the message. Valid during the turn only; never keep it.

    Reads: `now` (monotonic seconds), `wall` (epoch seconds), `settings` (frozen), `random` (the actor's stream), `ref`.
    """

    __slots__ = (
        "_answered", "_deferred", "_draws", "_evidence", "_new_record", "_out", "_random", "_removed", "_special", "_tell", "_writes",
        "ask", "cell", "engine", "now", "ref", "settings", "wall",
    )  # fmt: skip

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.settings: Any = engine.settings
        self.cell: Cell
        self.ref: Ref
        self.ask: Ask | None = None
        self.now = 0.0
        self.wall = 0.0
        self._out: list[tuple[str, Callable[[Any, Any], Any], Any, Any]] = []
        self._writes: list[Write] = []
        self._draws: list[Any] = []
        self._new_record: Any = None
        self._removed = False
        self._evidence: Any = None
        self._answered: list[Ask] = []
        self._deferred = False
        self._special = False
        self._tell = engine.tell
        self._random = RecordingRandom(0)

    # --- reads ---------------------------------------------------------------------------------------------------

    @property
    def random(self) -> random.Random:
        self._special = True
        return self._random.watch(self.engine.randomness.stream(f"actor/{self.ref.kind}/{self.ref.id}"), self._draws)

    def buggify(self, site: str) -> bool:
        """Whether a world chooses the improbable behaviour at this site (see `runtime.buggify`); False in production."""
        return self.engine.buggify(site)

    def new_id(self) -> str:
        """A fresh UUIDv7."""
        return uuid7(self.wall, self.random)

    def token_bytes(self, count: int) -> bytes:
        """Secret bytes; they are recorded as a `Secret`."""
        self._special = True
        drawn = self.engine.randomness.token_bytes(count)
        self._draws.append(Secret(drawn))
        return drawn

    def query(self, query: Query) -> list[Row]:
        """Committed rows of any kind, for actors that judge others without changing them."""
        return self.engine.store.query(query)

    def kept_query(self, query: Query) -> tuple[Row, ...]:
        """As `query`, for one that is asked again and again and never differs: the store is asked once for each change of such rows."""
        return self.engine.directory.rows(query)

    def query_ids(self, query: Query) -> list[str]:
        """The ids of committed rows of any kind, for actors that only want to tell them something."""
        return self.engine.store.query_ids(query)

    def find(self, kind: str, key: str, value: str) -> str | None:
        """The id of the committed row of any kind whose unique key has this value, or None."""
        return self.engine.store.lookup(kind, key, value)

    def row(self, kind: str, id: str) -> Row | None:
        """One committed row of any kind, or None."""
        return self.engine.directory.row(kind, id)

    def audit_entries(self, chain: str, after_sequence: int, limit: int) -> list[AuditEntry]:
        """Committed entries of one audit chain, ascending."""
        return self.engine.store.audit(chain, after_sequence, limit)

    def audit_pruned(self, chain: str) -> Pruned | None:
        """Up to where an audit chain was pruned; None if it is there from its beginning."""
        return self.engine.store.audit_pruned(chain)

    def audit_head(self, chain: str) -> AuditEntry | None:
        """The last committed entry of an audit chain."""
        return self.engine.store.audit_head(chain)

    def ledger_head(self) -> str | None:
        """The head of the ledger of all audit chains as committed, `position:total`; None while nothing is in it."""
        last = self.engine.store.ledger_head()
        return None if last is None else last.head

    @property
    def history(self) -> int:
        """How many events are committed: it rises with what has happened here, and once read never falls, not even by a crash."""
        return self.engine.last_cursor

    # --- durable effects -----------------------------------------------------------------------------------------

    def save(self, record: Any) -> None:
        """Make `record` the actor's record; its version is set here, one above the committed one."""
        current = self.cell.actor.record
        version = 1 if current is None else current.version + 1
        if self._new_record is not None:
            # Saved twice in one turn: the later one holds.
            self._writes = [write for write in self._writes if not (isinstance(write, Put) and write.record is self._new_record)]
        if self._removed:
            self._writes = [write for write in self._writes if not (isinstance(write, Delete) and (write.kind, write.id) == self.ref)]
            self._removed = False
        self._new_record = record = evolve(record, version=version)
        self._write("save", Put(self.ref.kind, record, None if current is None else current.version))

    def remove(self) -> None:
        """Delete the actor's record."""
        self._removed = True
        self._write("remove", Delete(self.ref.kind, self.ref.id))

    def put_row(self, kind: str, record: Any, expected_version: int | None = None) -> None:
        """Write a row that this actor owns, in the same transaction as everything else of the turn."""
        self._write(f"put {kind}", Put(kind, record, expected_version))

    def delete_row(self, kind: str, id: str) -> None:
        """Remove a row that this actor owns."""
        self._write(f"delete {kind}", Delete(kind, id))

    def audit(self, action: str, actor_kind: str, actor_id: str | None, **payload: Any) -> None:
        """Append to the audit chain named by the actor's own id."""
        self._write(f"audit {action}", AuditDraft(self.ref.id, action, self.wall, actor_kind, actor_id, payload))

    def audit_in(self, chain: str, action: str, actor_kind: str, actor_id: str | None, **payload: Any) -> None:
        """Append to another actor's audit chain, for what concerns that one."""
        self._write(f"audit {action}", AuditDraft(chain, action, self.wall, actor_kind, actor_id, payload))

    def prune_audit(self, chain: str, sequence: int, hash: str, held_by: str) -> None:
        """Remove the entries of an audit chain up to and with `sequence`, whose hash is `hash`, as `held_by` holds the last of them."""
        self._write(f"prune {chain}", Prune(chain, sequence, hash, held_by, self.wall))

    def emit(self, kind: str, severity: Literal["low", "medium", "high", "critical"], account_id: str | None, **payload: Any) -> None:
        """Append an event to the store's log; subscribers see it after the commit."""
        self._write(f"emit {kind}", EventDraft(kind, severity, self.wall, account_id, payload))

    def set_evidence(self, evidence: Any) -> None:
        """Replace the evidence; flushed lazily, or together with this turn's commit if the turn saves."""
        self._special = True
        self._evidence = evidence
        self._out.append(("evidence", _nothing, None, None))

    def _write(self, effect: str, write: Write) -> None:
        self._special = True
        self._out.append((effect, _nothing, None, None))
        self._writes.append(write)

    # --- replies -------------------------------------------------------------------------------------------------

    def reply(self, value: Any) -> None:
        """Answer the message being handled; a no-op for a message that nobody asked."""
        if self.ask is not None:
            self.answer(self.ask, value)

    def defer(self) -> Ask | None:
        """Keep the reply address for a later turn; None if nobody waits."""
        self._deferred = self._special = True
        return self.ask

    def answer(self, address: Ask | None, value: Any) -> None:
        """Answer a deferred message."""
        if address is not None:
            self._special = True
            self._answered.append(address)
            self._out.append(("reply", self.engine.resolve, address, value))

    # --- volatile effects ----------------------------------------------------------------------------------------

    def send(self, ref: Ref, message: Any) -> None:
        """Deliver a message to another actor."""
        self._out.append(("send", self._tell, ref, message))

    def after(self, delay_s: float, message: Any, key: str) -> None:
        """Send `message` to this actor after `delay_s`; a timer of the same key is replaced. Gone after a restart."""
        self._out.append((intern(f"after {key}"), self.engine.arm, self.cell, (key, delay_s, message)))

    def cancel(self, key: str) -> None:
        """Disarm the timer of that key, if any."""
        self._out.append((intern(f"cancel {key}"), self.engine.disarm, self.cell, key))

    def look_again(self, delay_s: float) -> None:
        """Of a deadline that has come and is left as it is: have it told again after `delay_s`. A start tells it anyway."""
        self._out.append(("look again", self.engine.look_again, self.cell, delay_s))

    def call(self, request: Any, then: type[CallResult], tag: Any = None) -> None:
        """Ask a port; the outcome comes back as `then(outcome, tag)` in the system lane, or never if the actor restarts."""
        self._out.append((intern(f"call {type(request).__name__}"), self.engine.start_call, self.cell, (request, then, tag)))

    # --- for the engine ------------------------------------------------------------------------------------------

    def clear(self) -> None:
        self._out = []
        self._deferred = self._special = False
        if self._draws:
            self._draws = []
        if self._answered:
            self._answered = []
        if self._writes:
            self._writes = []
            self._new_record = None
            self._removed = False
        self._evidence = None

    @property
    def record(self) -> Any:
        """The record as this turn leaves it so far (saved earlier in the same turn, else the committed one)."""
        if self._removed:
            return None
        return self.cell.actor.record if self._new_record is None else self._new_record

    @property
    def actor(self) -> Actor:
        return self.cell.actor


def _nothing(first: Any, second: Any) -> None:
    """Durable effects need nothing in the act step; they stand in the list of effects for the recorder."""
