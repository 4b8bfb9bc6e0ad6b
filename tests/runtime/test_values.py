"""Changed copies of frozen values: what attrs does, and the same object where nothing differs."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.peer.record import PeerEvidence, PeerRecord
from runtime.values import evolve, updated

RECORD = PeerRecord(id="a", account_id="b", remote_instance_url=None, status_since=1.0, created_at=1.0, updated_at=1.0)


@attrs.frozen
class Single:
    only: int
    _hidden: int = 2
    made: int = attrs.field(init=False, default=7)


@attrs.frozen
class Converted:
    number: int = attrs.field(converter=int)


@attrs.frozen
class Positive:
    number: int = attrs.field(validator=attrs.validators.gt(0))


@attrs.frozen
class Doubled:
    number: int
    twice: int = 0

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * self.number)


@attrs.frozen(slots=False)
class Loose:
    number: int
    other: int = 1


@attrs.frozen(cache_hash=True)
class Hashed:
    number: int
    other: int = 1


@given(st.dictionaries(st.sampled_from(["version", "status", "metadata", "endpoints", "expires_at"]), st.integers() | st.none()))
def test_a_changed_copy_is_that_of_attrs(changes: dict[str, Any]) -> None:
    copy = evolve(RECORD, **changes)
    assert copy == evolve(RECORD, **changes)
    assert copy is not RECORD
    assert (updated(RECORD, **changes) is RECORD) == (copy == RECORD)
    assert updated(RECORD, **changes) == copy


def test_private_names_and_fields_that_make_themselves() -> None:
    value = Single(1, 5)
    assert evolve(value, only=3) == evolve(value, only=3) == Single(3, 5)
    assert evolve(value, hidden=3) == evolve(value, hidden=3)


def test_what_a_class_does_when_it_is_made_is_done_to_its_copies() -> None:
    assert evolve(Converted(1), number="2") == Converted(2)
    with pytest.raises(ValueError, match="must be > 0"):
        evolve(Positive(1), number=0)
    assert evolve(Doubled(1), number=3).twice == 6
    assert evolve(Loose(1), number=2) == Loose(2)


def test_a_copy_has_a_hash_of_its_own() -> None:
    value = Hashed(1)
    assert hash(value) == hash(Hashed(1))
    assert hash(evolve(value, number=2)) == hash(Hashed(2))


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(TypeError):
        evolve(PeerEvidence(), nothing=1)
    with pytest.raises(AttributeError):
        updated(PeerEvidence(), nothing=1)
