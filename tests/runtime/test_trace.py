"""The digest of a trace: alike in every process, different for different turns, and blind to secrets."""

from __future__ import annotations

from typing import Any

import attrs

from runtime.actor import Ref
from runtime.secret import Secret
from runtime.trace import Trace


@attrs.frozen
class Said:
    words: Any


@attrs.frozen
class Shouted:
    words: Any


def digest(*messages: Any, now: float = 1.0, outcome: str = "done", effects: tuple[str, ...] = ()) -> str:
    trace = Trace()
    for message in messages:
        trace.turn(now, Ref("kind", "id"), message, outcome, tuple(effects), (), None)
    return trace.digest()


def test_what_differs_shows() -> None:
    seen = {
        digest(Said("a")),
        digest(Shouted("a")),
        digest(Said("b")),
        digest(Said("a"), Said("a")),
        digest(Said("a"), now=2.0),
        digest(Said("a"), outcome="saved"),
        digest(Said("a"), effects=("reply",)),
        digest(Said({"a": 1})),
        digest(Said({"a": 2})),
    }
    assert len(seen) == 9


def test_the_order_of_sets_and_maps_does_not_show() -> None:
    words = [f"word {number}" for number in range(50)]
    assert digest(Said(frozenset(words))) == digest(Said(frozenset(reversed(words))))
    assert digest(Said(dict.fromkeys(words))) == digest(Said(dict.fromkeys(reversed(words))))


def test_what_no_encoding_takes_is_folded_as_its_text() -> None:
    assert digest(Said(2**80)) == digest(Said(2**80)) != digest(Said(2**80 + 1))
    assert digest(Said("\ud800")) == digest(Said("\ud800")) != digest(Said("\ud801"))
    assert digest(Said(Secret("one"))) == digest(Said(Secret("two")))
