"""Recordings: values come back as they were, and secrets never do."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.peer.messages import HeartbeatTick
from actors.peer.tokens import digest, mint
from runtime.actor import Activated, Ref
from runtime.errors import OperatorFault
from runtime.recording import Decoder, Disguise, Encoder, NotRecordableError, Opaque, replace_texts
from runtime.secret import Secret
from tests.support.recording_values import plain_values

KEY = b"k" * 32


def there_and_back(value: Any) -> Any:
    return Decoder(object).decode(json.loads(json.dumps(Encoder(None).encode(value))))


@given(plain_values())
def test_plain_values_come_back(value: Any) -> None:
    assert there_and_back(value) == value


def test_messages_references_and_secrets_come_back() -> None:
    assert there_and_back(HeartbeatTick()) == HeartbeatTick()
    assert there_and_back((Ref("peer", "x"), Secret("abc"))) == (Ref("peer", "x"), Secret("abc"))


def test_a_field_that_came_later_takes_its_default_and_one_that_must_be_there_is_missed() -> None:
    fault = Encoder(None).encode(OperatorFault("code", "message", 409))
    del fault["of"]["details"]
    assert Decoder(object).decode(fault) == OperatorFault("code", "message", 409)
    del fault["of"]["code"]
    with pytest.raises(NotRecordableError, match="code"):
        Decoder(object).decode(fault)


FOREIGN = ("os:system", "actors.peer.messages:Nothing", "subprocess:Popen", "actors.nowhere:X", "actors.peer.record:KIND")


@pytest.mark.parametrize("tag", FOREIGN)
def test_only_classes_of_the_domain_are_made(tag: str) -> None:
    with pytest.raises(NotRecordableError):
        Decoder(object).decode({"$": tag, "of": {}})


def test_what_cannot_leave_its_process_is_only_named() -> None:
    assert there_and_back(object()) == Opaque("object")


@given(st.binary(min_size=1, max_size=64), st.binary(min_size=1, max_size=64))
def test_equal_secrets_stay_equal_and_others_stay_others(one: bytes, other: bytes) -> None:
    disguise = Disguise(KEY)
    assert disguise.secret_bytes(one) == disguise.secret_bytes(one)
    assert len(disguise.secret_bytes(one)) == len(one)
    if len(one) >= 16 and one != other:
        assert disguise.secret_bytes(one) != disguise.secret_bytes(other)


@given(st.binary(min_size=32, max_size=32), st.sampled_from([None, "A" * 22]))
def test_a_token_its_bytes_and_its_digest_are_replaced_together(secret: bytes, pin: str | None) -> None:
    disguise = Disguise(KEY, () if pin is None else (f".{pin}",))
    token = mint(secret, pin).reveal()
    replaced = mint(disguise.secret_bytes(secret), pin).reveal()
    assert disguise.text(token) == replaced
    told = replace_texts({"digest": digest(Secret(token)), "in words": f"redeemed {token}"}, disguise.derived)
    assert told == {"digest": digest(Secret(replaced)), "in words": f"redeemed {replaced}"}


def test_a_password_is_replaced_by_a_word_and_so_is_its_digest() -> None:
    disguise = Disguise(KEY)
    told = Encoder(disguise).encode(Secret("correct horse battery staple"))
    assert there_and_back_of(told).reveal().startswith("secret-")
    known = hashlib.sha256(b"correct horse battery staple").hexdigest()
    assert replace_texts([known], disguise.derived) != [known]


def test_bodies_from_elsewhere_lose_what_stands_under_bearing_keys() -> None:
    told = json.dumps(Encoder(Disguise(KEY)).encode({"bearer_token": "fg-1.plain-text", "status": "ok"}))
    assert "plain-text" not in told
    assert "ok" in told


def there_and_back_of(told: Any) -> Any:
    return Decoder(object).decode(told)


def test_a_message_without_fields_and_without_a_dictionary_is_recorded_like_any() -> None:
    assert isinstance(there_and_back(Activated()), Activated)


KNOWN = st.dictionaries(st.text("abc", max_size=4), st.text("xyz", max_size=4), max_size=8)


@given(st.text("abcd", max_size=40), KNOWN)
def test_texts_are_replaced_from_the_left_and_the_longest_first(text: str, known: dict[str, str]) -> None:
    at, expected = 0, ""
    while at < len(text):
        fits = max((each for each in known if each and text.startswith(each, at)), key=len, default="")
        expected += known[fits] if fits else text[at]
        at += len(fits) or 1
    assert replace_texts({"list": [text, 1, None]}, known) == {"list": [expected, 1, None]}


class Counted(str):
    """A text that counts how often anybody asks whether another one stands in it."""

    asked = 0

    def startswith(self, *arguments: Any) -> bool:
        Counted.asked += 1
        return str.startswith(self, *arguments)


def test_many_known_texts_cost_no_more_than_few() -> None:
    known = {hashlib.sha256(str(number).encode()).hexdigest(): str(number) for number in range(2_000)}
    text = Counted(next(iter(known)) * 2 + "." * 1_000)
    # Asked only where a known text may begin, which a digest seldom does by chance.
    Counted.asked = 0
    assert replace_texts(text, known)
    assert 0 < Counted.asked <= 10
