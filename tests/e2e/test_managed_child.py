"""A managed child and its parent as real daemons: one accept, the grant that comes with it, and the day on which the child stands alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.daemons import PEERS, Daemon, both_active, daemons, reaches

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Daemon]]:
    with daemons(tmp_path_factory.mktemp("family"), "parent", "child") as made:
        yield made[0], made[1]


def held(parent: Daemon, at_parent: str) -> list[tuple[str, str]]:
    rows: list[dict[str, Any]] = parent.call("GET", f"{PEERS}/{at_parent}/received_grants").data
    return [(row["resource_kind"], row["state"]) for row in rows]


def test_a_child_accepts_in_one_step_gives_its_grant_and_takes_it_back(family: tuple[Daemon, Daemon]) -> None:
    parent, child = family
    body = {"remote_instance_url": child.public_url, "spawn_role": "parent", "spawn_mode": "managed_child"}
    proposed = parent.call("POST", PEERS, body).data
    at_parent = str(proposed["peer"]["id"])
    part = {"spawn_role": "child", "spawn_mode": "managed_child"}
    accepted = child.call("POST", f"{PEERS}/accept", {"invitation": proposed["invitation"], **part})
    assert accepted.status == 200, accepted.body
    assert accepted.data["warnings"] == []
    at_child = str(accepted.data["peer"]["id"])
    both_active(parent, at_parent, child, at_child)
    assert held(parent, at_parent) == [("ManagedChildOperator", "active")]
    (row,) = parent.call("GET", f"{PEERS}/{at_parent}/received_grants").data
    checked = parent.call("POST", f"{PEERS}/{at_parent}/received_grants/{row['id']}/check", {})
    assert checked.status == 200, checked.body
    alone = child.call("POST", f"{PEERS}/{at_child}/emancipate", {})
    assert alone.status == 200, alone.body
    reaches(lambda: held(parent, at_parent), [("ManagedChildOperator", "refused")])
    assert (parent.status(at_parent), child.status(at_child)) == ("active", "active")
