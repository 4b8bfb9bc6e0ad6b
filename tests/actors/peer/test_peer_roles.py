"""Role and mode pairs."""

from __future__ import annotations

import pytest

from actors.peer import roles
from actors.peer.roles import MODES_OF_ROLE, Pairing
from runtime.errors import OperatorFault


@pytest.mark.parametrize(
    ("role", "mode", "expected"),
    [
        (None, None, Pairing("symmetric", "out_of_band")),
        ("parent", None, Pairing("parent", "autonomous_peer")),
        ("child", "cluster_member", Pairing("child", "cluster_member")),
        (None, "autonomous_peer", Pairing("symmetric", "autonomous_peer")),
    ],
)
def test_what_is_left_out_is_filled_in(role: object, mode: object, expected: Pairing) -> None:
    assert roles.resolve(role, mode) == expected


@pytest.mark.parametrize(
    ("role", "mode", "code", "status"),
    [
        ("sibling", None, "invalid_spawn_role", 400),
        (["parent"], None, "invalid_spawn_role", 400),
        (None, "by_hand", "invalid_spawn_mode", 400),
        (None, {}, "invalid_spawn_mode", 400),
        ("symmetric", "managed_child", "invalid_spawn_combination", 422),
        (None, "cluster_member", "invalid_spawn_combination", 422),
        ("parent", "out_of_band", "invalid_spawn_combination", 422),
        ("child", "out_of_band", "invalid_spawn_combination", 422),
    ],
)
def test_a_bad_pair_is_refused_by_what_is_wrong_with_it(role: object, mode: object, code: str, status: int) -> None:
    fault = roles.resolve(role, mode)
    assert isinstance(fault, OperatorFault)
    assert (fault.code, fault.status) == (code, status)


def test_every_permitted_pair_is_permitted_to_the_other_side_too() -> None:
    for role, modes in MODES_OF_ROLE.items():
        assert roles.mirror(roles.mirror(role)) == role
        for mode in modes:
            assert roles.resolve(roles.mirror(role), mode) == Pairing(roles.mirror(role), mode)


def test_of_two_sides_at_most_one_asks_the_other_for_a_certificate() -> None:
    for role in MODES_OF_ROLE:
        both = [roles.caller_trust_mode(side) for side in (role, roles.mirror(role))]
        assert both.count("hierarchical") <= 1
    assert roles.caller_trust_mode("child") == "hierarchical"
