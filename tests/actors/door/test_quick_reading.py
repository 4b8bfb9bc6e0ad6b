"""The short ways through a body say the same as the long ones: a good body reads alike, and nothing bad is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.door import shapes
from actors.door.routes import BY_NAME, ROUTES
from actors.door.shapes import ABSENT, UNSURE, Object, read_body
from runtime.errors import FaultError
from runtime.secret import Secret

BODIES = sorted({route.body.name: route.body for route in ROUTES if isinstance(route.body, Object)}.items())

SCALARS = st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=8
)
LIKELY = st.sampled_from(
    ["", " ", "ok", "1", "v1", "wan", "a" * 64, "https://b.example.com", "https://b.example.com/", "sha256:" + "a" * 64, "two\nlines",
     "\x7f",
     "ü", "2030-03-17T17:48:00Z", "01890a5d-ac96-774b-bcce-b302099a8057", 0, 1, 61, -1, 2**63, 1.0, {}, [], ["a", "a"], {"a": {"b": [1]}},
     [{"url": "https://b.example.com", "scope": "wan", "priority": 1}], {"epoch": 1, "sequence": 2}],
)  # fmt: skip


def spelled(value: Any) -> Any:
    """Secrets cannot be compared as they are."""
    if isinstance(value, dict):
        return {key: spelled(each) for key, each in value.items()}
    return ("secret", value.reveal()) if isinstance(value, Secret) else value


@pytest.mark.parametrize(("name", "shape"), BODIES, ids=[name for name, _ in BODIES])
@given(data=st.data())
def test_a_quick_reading_is_the_slow_one_or_unsure(name: str, shape: Object, data: st.DataObject) -> None:
    fields = {field.name: LIKELY | VALUES for field in shape.fields}
    value = data.draw(st.fixed_dictionaries({}, optional=fields) | st.dictionaries(st.sampled_from([*fields, "other"]), LIKELY, max_size=4))
    spot = shapes._start()
    slow = shape.read(value, spot)
    quick = shape.quick(value)
    if quick is UNSURE:
        return
    assert not spot.problems
    assert spelled(quick) == spelled(slow)
    assert list(quick) == list(slow)
    assert ABSENT not in quick.values()


def test_a_heartbeat_and_an_accept_are_read_quickly() -> None:
    heartbeat = BY_NAME["federation_heartbeat"].body
    assert heartbeat is not None
    body = {"boot_epoch": 1, "sequence": 2, "sent_at": "2030-03-17T17:48:00.123Z", "capabilities": {"a": [1]}, "endpoints": [], "later": 1}
    assert heartbeat.quick(body) is not UNSURE


def outcome(parse: Any, body: bytes) -> Any:
    try:
        return repr(parse(body))
    except FaultError as error:
        return error.fault.code


ODD = st.text(alphabet='[]{}",:\\0189eE+-. ntfa\t\n\x01é', max_size=40).map(str.encode)
PAIRS = st.lists(
    st.tuples(
        st.sampled_from(['"a"', '"b"', '"a:"', '"":', '":']),
        st.sampled_from(["", " ", "\t", "\n"]),
        st.sampled_from(["1", '"x":', '":"', "{}"]),
    ),
    max_size=4,
).map(lambda parts: ("{" + ",".join(f"{key}{space}:{value}" for key, space, value in parts) + "}").encode())  # fmt: skip


@given(ODD | PAIRS | VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30))
@example(b'{"a":1,"a":2}')
@example(b'{"a":1,"a" :2}')
@example(b'{"a":1,"a"\n:2}')
@example(b'{"a":1,"a":":"}')
@example(b'{"a":":","b":1}')
@example(b'{"a":{"b":1,"b":1}}')
@example(b'{"a":[{"b":1},{"b":1}]}')
@example(b'{"a":18446744073709551615}')
@example(b'{"a":-9223372036854775808}')
@example(b'{"a":1.0}')
@example(b'{"a":-0}')
@example(b'{"a":-0.0}')
@example(b'{"a":1e5}')
@example(b'{"a":123456789012345678901234567890.0}')
@example(b'{"a":1e400}')
@example(b'{"a":"\\n"}')
@example(b'{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}}}}}}}}}')
@example(b'{"a":"\\ud800"}')
@example(b'{"a":"\x01"}')
@example(b'{"a":"\xed\xa0\x80"}')
@example(b"[1]")
def test_a_text_is_parsed_alike_in_both_ways(body: bytes) -> None:
    assert outcome(shapes.parse_json, body) == outcome(shapes._parse_json, body)


def test_a_plain_text_takes_the_short_way_and_a_repeated_key_does_not() -> None:
    assert shapes._plain(b'{"a": "x:y", "b": {"a": [1, true, null]}}') == {"a": "x:y", "b": {"a": [1, True, None]}}
    assert shapes._plain(b'{"a":1.5,"b":"\\n"}') == {"a": 1.5, "b": "\n"}
    for body in (
        b'{"a":1,"a":2}',
        b'{"a":1,"a" :2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":1e0}',
        b'{"a":"\\u000A"}',
        b'{"a":9223372036854775808}',
    ):
        assert shapes._plain(body) is UNSURE


def test_the_fault_of_a_bad_body_names_all_its_problems_as_ever() -> None:
    shape = BY_NAME["federation_heartbeat"].body
    assert shape is not None
    with pytest.raises(FaultError) as caught:
        read_body(shape, b'{"boot_epoch":-1,"sequence":"x","endpoints":{}}', "application/json")
    assert {problem["field"] for problem in caught.value.fault.details["problems"]} == {"boot_epoch", "sequence", "endpoints"}
