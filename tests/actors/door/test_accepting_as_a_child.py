"""Accepting an invitation with a part of one's own: the child registers its parent and accepts in one step."""

from __future__ import annotations

from typing import Any

import pytest

from sim.world import Host, World
from tests.support.grants import PEERS

AS_CHILD = {"spawn_role": "child", "spawn_mode": "managed_child"}


@pytest.fixture
def invited() -> tuple[Host, Host, str]:
    """A parent, its child to be, and the parent's invitation."""
    world = World(1)
    parent, child = world.platform("parent").sign_in(), world.platform("child").sign_in()
    body = {"remote_instance_url": child.url, "spawn_role": "parent", "spawn_mode": "managed_child"}
    reply = parent.call("POST", PEERS, body)
    assert reply is not None
    return parent, child, reply.data["invitation"]


def accept(child: Host, invitation: str, **part: Any) -> Any:
    reply = child.call("POST", f"{PEERS}/accept", {"invitation": invitation, **part})
    assert reply is not None
    return reply


def test_a_child_registers_its_parent_and_accepts_in_one_step(invited: tuple[Host, Host, str]) -> None:
    parent, child, invitation = invited
    reply = accept(child, invitation, **AS_CHILD)
    assert reply.status == 200, reply.body
    shown = reply.data["peer"]
    assert (shown["spawn_role"], shown["spawn_mode"], shown["status"]) == ("child", "managed_child", "enrolled")
    parent.world.run_for(5.0)
    (row,) = parent.call("GET", PEERS).data  # type: ignore[union-attr]
    held = parent.call("GET", f"{PEERS}/{row['id']}/received_grants")
    assert held is not None
    assert [grant["resource_kind"] for grant in held.data] == ["ManagedChildOperator"]


def test_whoever_took_the_wrong_part_is_told_what_helps(invited: tuple[Host, Host, str]) -> None:
    _, child, invitation = invited
    as_equal = accept(child, invitation)
    assert (as_equal.status, as_equal.body["details"]["remote_code"]) == (502, "spawn_mismatch")
    as_child = accept(child, invitation, **AS_CHILD)
    assert (as_child.status, as_child.body["code"]) == (422, "spawn_mismatch")
    cancelled = child.call("POST", f"{PEERS}/{as_child.body['details']['peer_id']}/cancel", {})
    assert cancelled is not None
    assert cancelled.status == 200
    assert accept(child, invitation, **AS_CHILD).status == 200


@pytest.mark.parametrize(
    ("part", "status", "code"),
    [
        ({"spawn_role": "aunt"}, 400, "invalid_spawn_role"),
        ({"spawn_role": "child", "spawn_mode": "adopted"}, 400, "invalid_spawn_mode"),
        ({"spawn_role": "child", "spawn_mode": "out_of_band"}, 422, "invalid_spawn_combination"),
        ({"spawn_mode": "managed_child"}, 422, "invalid_spawn_combination"),
    ],
)
def test_a_part_that_there_is_not_changes_nothing(invited: tuple[Host, Host, str], part: dict[str, str], status: int, code: str) -> None:
    _, child, invitation = invited
    refused = accept(child, invitation, **part)
    assert (refused.status, refused.body["code"]) == (status, code)
    assert child.call("GET", PEERS).data == []  # type: ignore[union-attr]
    assert accept(child, invitation, **AS_CHILD).status == 200
