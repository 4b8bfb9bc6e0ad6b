"""Rotations of roots in federations of values (see `federation`): how they begin and end, and how they stand."""

from __future__ import annotations

import json
from typing import Any

from actors.rotation.messages import Finish, Rotate
from actors.rotation.record import KIND, RotationRecord
from actors.rotation.shown import shown
from runtime.actor import Ref
from runtime.store.port import Condition, Query
from tests.support.federation import ACCOUNT, OPERATOR, Pair, Platform, pair


def connected(**options: Any) -> Pair:
    """Two platforms in contact."""
    two = pair(**options)
    two.connect()
    return two


def ask(platform: Platform, message: Any) -> Any:
    """The outcome of a message to the rotation of a platform."""
    outcomes: list[Any] = []
    platform.engine.ask(Ref(KIND.name, platform.instance_id), message, 60.0, outcomes.append)
    platform.network.run()
    return outcomes[0]


def rotate(platform: Platform, days: int = 7, **more: Any) -> Any:
    """Begin a rotation."""
    return ask(platform, Rotate(by=OPERATOR, account_id=ACCOUNT, overlap_days=days, **more))


def finish(platform: Platform, *give_up: str, force: bool = False) -> Any:
    """End its overlap, or give peers up."""
    return ask(platform, Finish(by=OPERATOR, account_id=ACCOUNT, give_up=give_up, force=force))


def rotation(platform: Platform) -> RotationRecord:
    """The record on the disk."""
    row = platform.store.load(KIND.name, platform.instance_id)
    assert row is not None
    record: RotationRecord = row.record
    return record


def status(platform: Platform) -> dict[str, Any]:
    """What operators are shown."""
    row = platform.store.load(KIND.name, platform.instance_id)
    rows = platform.store.query(Query("peer", ((Condition("status", "!=", "revoked"),),)))
    found = shown(row.record if row is not None else None, platform.settings, rows, ACCOUNT, platform.network.clock.wall(), named_max=100)
    return dict(json.loads(json.dumps(found)))


def progress(platform: Platform) -> dict[str, str]:
    """URL of each peer to how far it has come."""
    return {peer["remote_instance_url"]: peer["progress"] for peer in status(platform)["peers"]}


def failed_heartbeats(two: Pair) -> list[Any]:
    """Heartbeats that were not acknowledged."""
    return [entry for entry in two.network.passed if entry[2].endswith("heartbeat") and entry[3] != 200]


def leap(two: Pair, seconds: float) -> None:
    """Let time pass at once, as for machines that slept: every timer that came due fires once, and then life goes on for two minutes."""
    two.network.clock.advance(seconds - 120.0)
    two.network.advance(120.0)
