"""What a record keeps of a secret, sealed or as a digest, stands in no text that is made of the record."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from typing import Any

import attrs

from actors.registry import KINDS

SECRET = re.compile(r"sealed_.*|(acceptance_|previous_)?token_digest|(refresh|family)_digest|password_hash")


def records(annotation: Any, seen: set[type]) -> Iterator[type]:
    """Every attrs class that a value of this annotation may hold."""
    if isinstance(annotation, type) and attrs.has(annotation) and annotation not in seen:
        seen.add(annotation)
        yield annotation
        for hint in typing.get_type_hints(annotation).values():
            yield from records(hint, seen)
    for part in typing.get_args(annotation):
        yield from records(part, seen)


def test_no_text_of_a_record_holds_what_is_kept_of_a_secret() -> None:
    seen: set[type] = set()
    found = [record for kind in KINDS for record in records(kind.record, seen)]
    fields = [(record, field) for record in found for field in attrs.fields(record) if SECRET.fullmatch(field.name)]
    assert len(fields) >= 15
    assert [f"{record.__name__}.{field.name}" for record, field in fields if field.repr] == []
