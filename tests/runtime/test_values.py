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


@given(st.dictionaries(st.sampled_from(["version", "status", "metadata", "endpoints", "expires_at"]), st.integers() | st.none()))
def test_a_changed_copy_is_that_of_attrs(changes: dict[str, Any]) -> None:
    copy = evolve(RECORD, **changes)
    assert copy == attrs.evolve(RECORD, **changes)
    assert copy is not RECORD
    assert (updated(RECORD, **changes) is RECORD) == (copy == RECORD)
    assert updated(RECORD, **changes) == copy


def test_private_names_and_fields_that_make_themselves() -> None:
    value = Single(1, 5)
    assert evolve(value, only=3) == attrs.evolve(value, only=3) == Single(3, 5)
    assert evolve(value, hidden=3) == attrs.evolve(value, hidden=3)


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(TypeError):
        evolve(PeerEvidence(), nothing=1)
    with pytest.raises(AttributeError):
        updated(PeerEvidence(), nothing=1)
