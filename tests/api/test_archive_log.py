"""What the log says of shipments that failed: each cause at once, and a flood of them as a number."""

from __future__ import annotations

import logging

import pytest

from api.archive_log import FAILED, PAUSE_S, FailedShipments
from runtime.store.port import Event


def failed(at: float, error: str = "archive_unavailable", kind: str = FAILED) -> Event:
    return Event(1, kind, "critical", at, "account", {"error": error, "chain": "c-1", "shipment_id": "s-1", "federation_peer_id": None})


def test_each_cause_is_told_at_once_and_a_flood_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    follower = FailedShipments()
    with caplog.at_level(logging.ERROR, "powernode.archive"):
        follower.publish(
            [failed(100.0), *[failed(101.0)] * 50, failed(101.0, "object_changed"), failed(101.0, kind="federation.peer.active")]
        )
        assert [record.args for record in caplog.records] == [("archive_unavailable", 0), ("object_changed", 0)]
        follower.publish([failed(100.0 + PAUSE_S), failed(5.0)])
    assert [record.args for record in caplog.records[2:]] == [("archive_unavailable", 50), ("archive_unavailable", 0)]
    assert all(vars(record)["chain"] == "c-1" for record in caplog.records)
    assert "powernode audit ship" in caplog.text
