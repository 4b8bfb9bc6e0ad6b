"""Cursors: one text per id, and nothing else is a cursor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.door import cursors
from runtime.errors import FaultError

UUID = "01890a5d-ac96-774b-bcce-b302099a8057"


@given(st.uuids())
def test_a_cursor_gives_its_id_back(id: object) -> None:
    cursor = cursors.encode(str(id))
    assert len(cursor) == cursors.CURSOR_CHARS
    assert cursors.decode(cursor) == str(id)


@given(st.text(max_size=30))
def test_any_text_is_a_canonical_cursor_or_refused(text: str) -> None:
    refused = ("invalid_parameter", 400)
    try:
        again = cursors.encode(cursors.decode(text))
    except FaultError as error:
        again, refused = text, (error.fault.code, error.fault.status)
    assert again == text
    assert refused == ("invalid_parameter", 400)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c + "==",
        lambda c: c[:-1],
        lambda c: c + "A",
        lambda c: c[:-1] + "z",
        lambda c: "+" + c[1:],
        lambda c: "é" + c[1:],
        lambda c: UUID,
    ],
)
def test_changed_cursors_are_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(FaultError):
        cursors.decode(change(cursors.encode(UUID)))


def test_only_ids_have_cursors() -> None:
    with pytest.raises(ValueError, match="id"):
        cursors.encode("peer-1")
