"""From drafts to records: what a batch would write, or everything that is wrong with it.

Lives here: resolving references, matching drafts with what is there, uniqueness. Pure but for `Committed`, through which it looks at
the store. Must not live here: writing (the actor), or the form of attributes (the declarations).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs
import msgspec

from actors.inventory.kind import ResourceKind, ids_at
from actors.inventory.registry import REGISTRY
from actors.mirror.record import KIND as MIRROR
from actors.problems import Problem
from actors.resource.limits import RECORD_BYTES_MAX
from actors.resource.messages import Change, Draft
from actors.resource.record import KIND, ResourceRecord, natural_key, owner_of, scope
from runtime.store.port import Condition, Query, Row
from runtime.values import Value

Select = Callable[[Query], list[Row]]


def _ordered_kinds() -> tuple[str, ...]:
    """Kinds so that what others refer to comes first."""
    order: list[str] = []

    def visit(kind: ResourceKind) -> None:
        if kind.kind in order:
            return
        for reference in kind.references:
            if reference.kind != kind.kind:
                visit(REGISTRY.kinds[reference.kind])
        order.append(kind.kind)

    for kind in REGISTRY:
        visit(kind)
    return tuple(order)


ORDER: Final[Mapping[str, int]] = {kind: place for place, kind in enumerate(_ordered_kinds())}
"""Kind to its place in the order in which records can be written."""


@attrs.define
class Committed:
    """The records of one account as committed, looked up many at a time."""

    account_id: str
    select: Select
    by_id: dict[str, ResourceRecord | None] = attrs.field(factory=dict)
    by_key: dict[tuple[str, str], str | None] = attrs.field(factory=dict)

    def load(self, ids: Iterable[str]) -> None:
        """Look these ids up."""
        wanted = tuple(sorted({id for id in ids if id not in self.by_id}))
        if wanted:
            self.by_id |= dict.fromkeys(wanted)
            for row in self.select(Query(KIND.name, ((Condition("id", "in", wanted),),))):
                self.by_id[row.record.id] = row.record

    def load_keys(self, kind: str, keys: Iterable[str]) -> None:
        """Look up who holds these natural keys."""
        wanted = tuple(sorted({key for key in keys if (kind, key) not in self.by_key}))
        if not wanted:
            return
        self.by_key |= {(kind, key): None for key in wanted}
        within = Condition("live_scope", "=", scope(self.account_id, kind))
        for row in self.select(Query(KIND.name, ((within, Condition("natural", "in", wanted)),))):
            record: ResourceRecord = row.record
            key = natural_key(record)
            assert key is not None
            self.by_key[kind, key] = record.id
            self.by_id[record.id] = record

    def record(self, id: str) -> ResourceRecord | None:
        """The record of this id, of whatever account, tombstones included."""
        self.load((id,))
        return self.by_id[id]

    def mirrored(self, id: str) -> bool:
        """Whether the account mirrors a record of this id, whose home is a peer: a second home it must not get."""
        mine = (Condition("origin_id", "=", id), Condition("account_id", "=", self.account_id))
        return bool(self.select(Query(MIRROR.name, (mine,), limit=1)))

    def holder(self, kind: str, key: str) -> ResourceRecord | None:
        """The living record of the account with this natural key."""
        self.load_keys(kind, (key,))
        id = self.by_key[kind, key]
        return self.record(id) if id is not None else None


class Planned(Value, frozen=True):
    """One write: the record with its new attributes, and the one that it replaces. Version and stamp are the actor's to set."""

    record: ResourceRecord
    former: ResourceRecord | None


@attrs.define
class Plan:
    """What a batch comes to. `outcomes` and `writes` follow the order of writing; `place` is the draft's place in the input."""

    committed: Committed
    new_id: Callable[[], str]
    new_only: bool = False
    writes: list[Planned] = attrs.field(factory=list)
    outcomes: dict[int, tuple[str, Change]] = attrs.field(factory=dict)
    problems: list[Problem] = attrs.field(factory=list)
    _keys: dict[tuple[str, str], str] = attrs.field(factory=dict)
    _ids: dict[str, ResourceRecord] = attrs.field(factory=dict)

    def add_all(self, drafts: tuple[Draft, ...]) -> None:
        """Plan every draft, kinds that others refer to first."""
        by_kind: dict[str, list[tuple[int, Draft]]] = {}
        for place, draft in enumerate(drafts):
            by_kind.setdefault(draft.kind, []).append((place, draft))
        for name in sorted(by_kind, key=ORDER.__getitem__):
            self._add_kind(REGISTRY.kinds[name], by_kind[name])

    def _add_kind(self, kind: ResourceKind, drafts: list[tuple[int, Draft]]) -> None:
        self.committed.load(draft.id for _, draft in drafts if draft.id is not None)
        self._prefetch_targets(kind, [draft for _, draft in drafts])
        resolved = [(place, draft, self.resolve(kind, draft)) for place, draft in drafts]
        keys = {place: kind.natural_key_of(attributes) for place, _, attributes in resolved if attributes is not None}
        self.committed.load_keys(kind.kind, [key for key in keys.values() if key is not None])
        for place, draft, attributes in resolved:
            if attributes is not None:
                self._add(place, draft, kind, attributes, keys[place])

    # --- references ----------------------------------------------------------------------------------------------

    def _prefetch_targets(self, kind: ResourceKind, drafts: list[Draft]) -> None:
        for reference in kind.references:
            target = REGISTRY.kinds[reference.kind]
            named = [value for draft in drafts for value in _values(draft.attributes, reference.path)]
            self.committed.load(value for value in named if isinstance(value, str))
            keys = (target.natural_key_of(value) for value in named if isinstance(value, Mapping))
            self.committed.load_keys(target.kind, [key for key in keys if key is not None])

    def resolve(self, kind: ResourceKind, draft: Draft) -> Mapping[str, Any] | None:
        """The draft's attributes with every reference an id of a record that is there, or None after noting what is missing."""
        attributes, before = dict(draft.attributes), len(self.problems)
        for reference in kind.references:
            name = reference.path
            value = attributes.get(name)
            target = REGISTRY.kinds[reference.kind]
            path = f"{draft.path}.attributes.{name}"
            if "." in name:
                # Deep inside, a target is named by its id only.
                for id in ids_at(attributes, name):
                    self._target(target, id, path)
            elif value is None:
                continue
            elif isinstance(value, list):
                attributes[name] = [self._target(target, element, f"{path}[{place}]") for place, element in enumerate(value)]
            else:
                attributes[name] = self._target(target, value, path)
        return attributes if len(self.problems) == before else None

    def _target(self, kind: ResourceKind, value: Any, path: str) -> str | None:
        if isinstance(value, str):
            found = self._ids.get(value) or self.committed.record(value)
            if found is not None and found.lives and (found.kind, found.account_id) == (kind.kind, self.committed.account_id):
                return value
            self.problems.append(Problem(path, "link_target_missing", f"there is no {kind.kind} with this id"))
            return None
        key = kind.natural_key_of(value)
        assert key is not None
        id = self._keys.get((kind.kind, key))
        if id is None:
            holder = self.committed.holder(kind.kind, key)
            id = holder.id if holder is not None and self._ids.get(holder.id, holder) is holder else None
        if id is None:
            named = " and ".join(kind.natural_key)
            self.problems.append(Problem(path, "link_target_missing", f"there is no {kind.kind} with this {named}"))
        return id

    # --- one draft -----------------------------------------------------------------------------------------------

    def _add(self, place: int, draft: Draft, kind: ResourceKind, attributes: Mapping[str, Any], key: str | None) -> None:
        if key is not None and (kind.kind, key) in self._keys:
            self._problem(draft, "duplicate_in_batch", f"another record of this request has the same {' and '.join(kind.natural_key)}")
            return
        holder = self.committed.holder(kind.kind, key) if key is not None else None
        if holder is not None and holder.id in self._ids:
            holder = None
        former = self.committed.record(draft.id) if draft.id is not None else holder
        if not self._fits(draft, former, holder) or _too_large(attributes):
            if _too_large(attributes):
                self._problem(draft, "resource_too_large", f"its attributes take more than {RECORD_BYTES_MAX} bytes as JSON", 413)
            return
        record = ResourceRecord(
            id=draft.id or (former.id if former is not None else self.new_id()),
            account_id=self.committed.account_id,
            kind=kind.kind,
            attributes=attributes,
            created_at=0.0,
            updated_at=0.0,
        )
        owner_id = owner_of(record)
        owner = self.committed.record(owner_id) if owner_id is not None and owner_id not in self._ids else None
        if owner is not None and (locked := lock_of(owner)) is not None:
            # What a record owns moves with it, so nothing may be added to one that is on its way.
            self._problem(draft, *locked)
            return
        self.take(place, record, former, key)

    def take(self, place: int, record: ResourceRecord, former: ResourceRecord | None, key: str | None) -> None:
        """Note what becomes of the draft at `place`."""
        if former is not None and former.lives and former.attributes == record.attributes:
            change: Change = "unchanged"
        else:
            change = "updated" if former is not None and former.lives else "created"
            self.writes.append(Planned(record, former))
            self._ids[record.id] = record
        if key is not None:
            self._keys[record.kind, key] = record.id
        self.outcomes[place] = (record.id, change)

    def _fits(self, draft: Draft, former: ResourceRecord | None, holder: ResourceRecord | None) -> bool:
        """Whether the draft may become the record that it names; notes why not."""
        before = len(self.problems)
        if draft.id is not None and draft.id in self._ids:
            self._problem(draft, "duplicate_in_batch", "another record of this request has the same id")
        elif former is not None and (former.kind, former.account_id) != (draft.kind, self.committed.account_id):
            self._problem(draft, "resource_id_taken", "this id belongs to another record", 409)
        elif former is None and draft.id is not None and self.committed.mirrored(draft.id):
            self._problem(draft, "resource_id_taken", "this id belongs to a record of a peer, which is mirrored here", 409)
        elif former is not None and former.moved is not None:
            self._problem(draft, "resource_moved", "this record has moved to another platform", 409)
        elif former is not None and (locked := lock_of(former)) is not None:
            self._problem(draft, *locked)
        elif (holder is not None and former is not None and holder.id != former.id) or (holder is not None and former is None):
            self._problem(draft, "resource_exists", f"the record {holder.id} has this natural key already", 409)
        elif self.new_only and former is not None and former.lives:
            self._problem(draft, "resource_exists", f"the record {former.id} is there already", 409)
        return len(self.problems) == before

    def _problem(self, draft: Draft, code: str, message: str, status: int = 422) -> None:
        self.problems.append(Problem(draft.path, code, message, status))


def lock_of(record: ResourceRecord) -> tuple[str, str, int] | None:
    """Why the record cannot be written now, as code, sentence and status, or None."""
    if record.frozen_by is not None:
        return "resource_frozen", "a migration holds this record; it cannot change until that has ended", 423
    if record.incoming:
        return "resource_incoming", "this record is still arriving from another platform", 423
    return None


def _too_large(attributes: Mapping[str, Any]) -> bool:
    return len(msgspec.json.encode(attributes)) > RECORD_BYTES_MAX


def _values(attributes: Mapping[str, Any], name: str) -> list[Any]:
    value = attributes.get(name)
    return list(value) if isinstance(value, list) else [value]
