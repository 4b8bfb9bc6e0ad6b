"""What a hostile issuer answers: nothing but records of the known form is passed on, and no word of a remote becomes ours."""

from __future__ import annotations

from typing import Any

import pytest

from actors.door.received_grants import relay
from actors.ports import RemoteReply
from runtime.errors import FaultError

ID = "0190c0de-0000-7000-8000-0000000000aa"
GOOD: dict[str, Any] = {
    "kind": "node_module", "id": ID, "etag": 'W/"7"', "updated_at": "2026-05-17T13:45:12Z", "deleted": False, "attributes": {"name": "x"},
}  # fmt: skip


def nested(depth: int) -> Any:
    return {"a": nested(depth - 1)} if depth else 1


def reply(status: int = 200, **body: Any) -> RemoteReply:
    return RemoteReply(status, body, {}, "https://a.example", 0.0)


def test_a_good_record_loses_what_is_not_known_here() -> None:
    assert relay.read_record({**GOOD, "novelty": 1}, "NodeModule") == {
        **GOOD,
        "kind": "NodeModule",
        "updated_at": "2026-05-17T13:45:12.000Z",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "NodeTemplate"}, {"kind": None}, {"id": "../x"}, {"etag": ""}, {"etag": "a\r\nb"}, {"etag": "x" * 200}, {"deleted": "no"},
        {"updated_at": "yesterday"}, {"updated_at": 7}, {"attributes": []}, {"attributes": nested(40)}, {"attributes": {"n": 2**70}},
        {"attributes": {"n": float("inf")}}, {"attributes": {"\ud800": 1}},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_of_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FaultError) as error:
        relay.read_record({**GOOD, **change}, "NodeModule")
    assert (error.value.fault.code, error.value.fault.status) == ("remote_rejected", 502)


@pytest.mark.parametrize(
    "body", [{}, {"data": {}}, {"data": [GOOD]}, {"data": [GOOD] * 201, "meta": {}}, {"data": [], "meta": {"next_cursor": 1}}]
)
def test_a_list_of_another_form_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(FaultError):
        relay.read_list(reply(**body), "NodeModule")


def test_a_refusal_is_told_in_our_words() -> None:
    known = relay.fault_of(reply(410, code="resource_moved", error="<script>", details={"moved_to": "nonsense", "x": 1}))
    assert known is not None
    assert (known.code, known.status, known.details) == ("resource_moved", 410, {})
    unknown = relay.fault_of(reply(404, code="no such\ncode", error="<script>", details={"axis": "a b"}, request_id="<script>"))
    assert unknown is not None
    assert (unknown.code, unknown.status, unknown.details) == ("remote_rejected", 502, {"remote_status": 404, "remote_code": None})
    mismatched = relay.fault_of(reply(200 + 203, code="resource_not_found"))
    assert mismatched is not None
    assert mismatched.code == "remote_rejected"
