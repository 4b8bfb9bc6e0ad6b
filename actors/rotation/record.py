"""Which roots this platform's certificate authority has, and how far the change from one to the next has come.

Lives here: the record, and who we are by it; pure. Must not live here: what peers do about it (see `actors.peer.anchors`).

The first root stands in the authority's own file. Every later one stands in this record, its key sealed by the vault, so that making it,
naming it and using it are commits like any other: a process that dies in between goes on from the last of them.
"""

from __future__ import annotations

from typing import Final, Literal

import attrs

from actors import certificates
from actors.peer.lifecycle import LIVE
from actors.peer.record import PeerRecord
from actors.ports import RootKey
from actors.settings import Identity
from runtime.context import Context
from runtime.store.port import Kind

Progress = Literal["promoted", "waiting", "set_aside"]


@attrs.frozen(kw_only=True)
class Root:
    """One root in the store. `not_after` is seconds since the epoch."""

    fingerprint: str
    key: RootKey
    not_after: float


@attrs.frozen(kw_only=True)
class RotationRecord:
    """One row for the platform; `id` is its instance id. Times are whole seconds since the epoch.

    Attributes:
        current: the root in force; None is the first one, of the authority's file.
        next: the root that peers are asked to accept beside it.
        begins, ends: the window in which both are accepted.
        forced: begun after a compromise: it never ends early by counting a peer that has not promoted.
        look_at: when progress is looked at again; None without a rotation under way.
    """

    id: str
    version: int = 0
    current: Root | None = None
    next: Root | None = None
    begins: int = 0
    ends: int = 0
    forced: bool = False
    reason: str | None = None
    by: str | None = None
    completed_at: float | None = None
    look_at: float | None = None


KIND: Final = Kind(name="rotation", record=RotationRecord, due=lambda record: record.look_at)


@attrs.frozen
class Roots:
    """The roots in use: fingerprint and key (None: the first one) of the current and, in a rotation, of the next."""

    current: str
    current_key: RootKey | None
    next: str | None = None
    next_key: RootKey | None = None

    @property
    def target(self) -> tuple[str, RootKey | None]:
        """The root under which our identities shall stand in the end."""
        return (self.current, self.current_key) if self.next is None else (self.next, self.next_key)


def rotation_of(ctx: Context) -> RotationRecord | None:
    """The committed record, or None if there never was a rotation."""
    row = ctx.row(KIND.name, ctx.settings.identity.instance_id)
    return None if row is None else row.record


def roots_of(record: RotationRecord | None, identity: Identity) -> Roots:
    """The roots in use by this record."""
    if record is None:
        return Roots(identity.ca_fingerprint, None)
    current = record.current.fingerprint if record.current is not None else identity.ca_fingerprint
    key = record.current.key if record.current is not None else None
    return Roots(current, key) if record.next is None else Roots(current, key, record.next.fingerprint, record.next.key)


def identity_by(record: RotationRecord | None, identity: Identity) -> Identity:
    """Who we are: the identity of the settings, with the root in force now."""
    if record is None or record.current is None:
        return identity
    root = record.current
    pin = certificates.pin_of_fingerprint(root.fingerprint) if identity.ca_pin is not None else None
    return attrs.evolve(identity, ca_bundle_pem=root.key.certificate_pem, ca_fingerprint=root.fingerprint, ca_pin=pin)


def identity_of(ctx: Context) -> Identity:
    """Who we are now, for handlers."""
    return identity_by(rotation_of(ctx), ctx.settings.identity)


def own_fingerprints(ctx: Context) -> tuple[str, ...]:
    """Every root of ours, the first one included: none of them may become the anchor of a remote."""
    roots = roots_of(rotation_of(ctx), ctx.settings.identity)
    return tuple(dict.fromkeys(f for f in (ctx.settings.identity.ca_fingerprint, roots.current, roots.next) if f is not None))


def progress_of(peer: PeerRecord, target: str, first: str) -> Progress:
    """How far a peer has come with the root `target`. `first` is the fingerprint of the first root of all."""
    if peer.peer_kind != "platform" or peer.status not in LIVE or peer.trust_mode == "none" or peer.outbound is None:
        return "set_aside"
    if peer.trust_mode == "hierarchical" and peer.spawn_role == "child":
        return "set_aside"
    return "promoted" if (peer.outbound.issuer or first) == target else "waiting"
