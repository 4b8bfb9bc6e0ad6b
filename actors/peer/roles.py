"""Who made whom: the role that a peer plays towards us, and the mode in which the peering came about.

Lives here: the permitted pairs, the defaults, and the rule that the two sides mirror each other.
A role is what the *peer row* says of us: `parent` means that we are the parent and the row shows our child.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, cast

from runtime.errors import OperatorFault
from runtime.values import Value

SpawnRole = Literal["parent", "child", "symmetric"]
SpawnMode = Literal["managed_child", "autonomous_peer", "cluster_member", "out_of_band"]
TrustMode = Literal["hierarchical", "symmetric"]

MODES_OF_ROLE: Final[Mapping[SpawnRole, tuple[SpawnMode, ...]]] = {
    "symmetric": ("out_of_band", "autonomous_peer"),
    "parent": ("autonomous_peer", "managed_child", "cluster_member"),
    "child": ("autonomous_peer", "managed_child", "cluster_member"),
}
"""The permitted modes of each role; the first is the default."""

_MIRROR: Final[Mapping[SpawnRole, SpawnRole]] = {"parent": "child", "child": "parent", "symmetric": "symmetric"}
_MODES: Final = frozenset(mode for modes in MODES_OF_ROLE.values() for mode in modes)


class Pairing(Value, frozen=True):
    """A permitted pair of role and mode."""

    role: SpawnRole
    mode: SpawnMode


def resolve(role: object, mode: object) -> Pairing | OperatorFault:
    """The pair that a caller asked for; None stands for the default (`symmetric`; the role's usual mode)."""
    if role is None:
        role = "symmetric"
    if not isinstance(role, str) or role not in MODES_OF_ROLE:
        return OperatorFault("invalid_spawn_role", f"spawn_role must be one of {', '.join(MODES_OF_ROLE)}", 400)
    known_role = cast(SpawnRole, role)
    permitted = MODES_OF_ROLE[known_role]
    if mode is None:
        return Pairing(known_role, permitted[0])
    if not isinstance(mode, str) or mode not in _MODES:
        return OperatorFault("invalid_spawn_mode", f"spawn_mode must be one of {', '.join(sorted(_MODES))}", 400)
    if mode not in permitted:
        message = f"spawn_mode {mode} does not go with spawn_role {role}; it takes {', '.join(permitted)}"
        return OperatorFault("invalid_spawn_combination", message, 422, {"allowed": list(permitted)})
    return Pairing(known_role, mode)


def mirror(role: SpawnRole) -> SpawnRole:
    """The role that the other side must have."""
    return _MIRROR[role]


def caller_trust_mode(role: SpawnRole) -> TrustMode:
    """How the side that calls accept proves itself: a child asks its parent's CA for a certificate, equals exchange their CAs."""
    return "hierarchical" if role == "child" else "symmetric"
