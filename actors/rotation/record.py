"""Which roots this platform's certificate authority has, and how far the change from one to the next has come.

Lives here: the record, and who we are by it; pure. Must not live here: what peers do about it (see `actors.peer.anchors`).

The first root stands in the authority's own file. Every later one stands in this record, its key sealed by the vault, so that making it,
naming it and using it are commits like any other: a process that dies in between goes on from the last of them.
"""

from __future__ import annotations

from typing import Final, Literal

import attrs

from actors import certificates
from actors.limits import FORMER_ROOTS_MAX, ROTATION_LOOK_S, SKEW_MAX_S
from actors.peer.lifecycle import LIVE
from actors.peer.record import PeerRecord
from actors.ports import RootKey
from actors.settings import Identity
from runtime.context import Context
from runtime.store.port import Kind
from runtime.values import Value, evolve

Progress = Literal["promoted", "waiting", "paused", "must_approve", "must_pair_again", "given_up", "set_aside"]
"""How far one peer has come:

* `promoted`: it takes our calls under the root, and a child also calls under it.
* `waiting`: it has not yet; as long as the rotation is under way it follows by itself.
* `paused`: the peering is suspended; the rotation goes on as long as its window allows, so that it may follow when it is resumed.
* `must_approve`: the window is over, or there never was one: its operators must compare the fingerprint and approve it.
* `must_pair_again`: a child whose certificates a former root of ours signed: it needs a new token.
* `given_up`: an operator has said that this peer is not waited for.
* `set_aside`: no rotation concerns it now: it is not in force, or it is our parent, whose root counts.
"""

OPEN: Final[frozenset[Progress]] = frozenset({"waiting", "paused", "must_approve", "must_pair_again"})
"""Who has been left behind so far."""


@attrs.frozen(kw_only=True)
class Root:
    """One root in the store. `not_after` is seconds since the epoch."""

    fingerprint: str
    key: RootKey
    not_after: float


@attrs.frozen
class FormerRoot:
    """A root that was ours and is none now.

    Attributes:
        burnt: open tokens that were made while it was in force are void.
    """

    fingerprint: str
    burnt: bool = False


@attrs.frozen(kw_only=True)
class RotationRecord:
    """One row for the platform; `id` is its instance id. Times are whole seconds since the epoch.

    Attributes:
        current: the root in force; None is the first one, of the authority's file.
        next: the root that peers are asked to accept beside it.
        begins, ends: the window in which both are accepted.
        forced: begun after a compromise: the former root ended at once, and its word about the next one is worth nothing.
        former: roots that have ended, oldest first: the newest `FORMER_ROOTS_MAX` of them.
        tokens_burnt: how many open tokens ended with the last forced rotation.
        notice_id: of a forced one, the id under which peers are told of it.
        given_up: ids of peers that operators do not wait for.
        look_at: when progress is looked at again; None without a rotation under way.
    """

    id: str
    version: int = 0
    current: Root | None = None
    next: Root | None = None
    begins: int = 0
    ends: int = 0
    forced: bool = False
    former: tuple[FormerRoot, ...] = ()
    tokens_burnt: int = 0
    notice_id: str | None = None
    given_up: tuple[str, ...] = ()
    reason: str | None = None
    by: str | None = None
    completed_at: float | None = None
    look_at: float | None = None


KIND: Final = Kind(name="rotation", record=RotationRecord, due=lambda record: record.look_at, put_off_s=ROTATION_LOOK_S)


class Roots(Value, frozen=True):
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


def target_of(ctx: Context) -> tuple[str, RootKey | None]:
    """The root under which our identities shall stand in the end, for handlers: its fingerprint, and its key (None: the first one)."""
    record, identity = rotation_of(ctx), ctx.settings.identity
    return (identity.ca_fingerprint, None) if record is None else roots_of(record, identity).target


def identity_by(record: RotationRecord | None, identity: Identity) -> Identity:
    """Who we are: the identity of the settings, with the root in force now."""
    if record is None or record.current is None:
        return identity
    root = record.current
    pin = certificates.pin_of_fingerprint(root.fingerprint) if identity.ca_pin is not None else None
    return evolve(identity, ca_bundle_pem=root.key.certificate_pem, ca_fingerprint=root.fingerprint, ca_pin=pin)


def identity_of(ctx: Context) -> Identity:
    """Who we are now, for handlers."""
    return identity_by(rotation_of(ctx), ctx.settings.identity)


def own_fingerprints(ctx: Context, *, former: bool = True) -> tuple[str, ...]:
    """Every root of ours, those that have ended included if `former`: none of them may become the anchor of a remote."""
    rotation = rotation_of(ctx)
    roots = roots_of(rotation, ctx.settings.identity)
    ended = (ctx.settings.identity.ca_fingerprint, *(root.fingerprint for root in (rotation.former if rotation else ()))) if former else ()
    return tuple(dict.fromkeys(f for f in (*ended, roots.current, roots.next) if f is not None))


def ended_with(record: RotationRecord, identity: Identity, *, announced: bool = False, burnt: bool = False) -> tuple[FormerRoot, ...]:
    """The former roots once the current one has ended, and with `announced` the next one, which never came into force."""
    roots = roots_of(record, identity)
    ending = [FormerRoot(roots.current, burnt)]
    if announced and roots.next is not None:
        ending.append(FormerRoot(roots.next, burnt))
    gone = {root.fingerprint for root in ending}
    # Tokens that were kept when an earlier root ended end now.
    before = (evolve(root, burnt=root.burnt or burnt) for root in record.former if root.fingerprint not in gone)
    return (*before, *ending)[-FORMER_ROOTS_MAX:]


def token_burnt(peer: PeerRecord, record: RotationRecord | None, identity: Identity) -> bool:
    """Whether the open token of a row ended with the root that was in force when it was made."""
    if record is None or peer.acceptance_token_digest is None or peer.peer_kind != "platform":
        return False
    made_under = peer.token_root or identity.ca_fingerprint
    return any(root.burnt and root.fingerprint == made_under for root in record.former)


@attrs.frozen
class Ourselves:
    """Who a remote must not claim to be: our instance, and every root of ours (fingerprints)."""

    instance_id: str
    fingerprints: tuple[str, ...]


def ourselves(ctx: Context) -> Ourselves:
    """Who we are, for judging what remotes answer."""
    return Ourselves(ctx.settings.identity.instance_id, own_fingerprints(ctx))


def signing_root(ctx: Context) -> RootKey | None:
    """The key of the root in force, for what this platform signs; None is the first one."""
    return roots_of(rotation_of(ctx), ctx.settings.identity).current_key


def ends_for_us(record: RotationRecord) -> float:
    """When our side of a rotation ends: earlier than the window that peers were told of, by as much as their clocks may be ahead."""
    return record.ends - SKEW_MAX_S


def child_of_ours(peer: PeerRecord) -> bool:
    """Whether our own root signs this peer's certificates."""
    return peer.trust_mode == "hierarchical" and peer.spawn_role == "parent"


def parent_of_ours(peer: PeerRecord) -> bool:
    """Whether this peer signs our certificate for it."""
    return peer.trust_mode == "hierarchical" and peer.spawn_role == "child"


def progress_of(peer: PeerRecord, record: RotationRecord | None, identity: Identity) -> Progress:
    """How far a peer has come with the root that shall be, or is, in force."""
    target, first = roots_of(record, identity).target[0], identity.ca_fingerprint
    paused = peer.status == "suspended" and record is not None and record.next is not None
    if peer.peer_kind != "platform" or peer.trust_mode == "none" or peer.outbound is None or not (peer.status in LIVE or paused):
        return "set_aside"
    if parent_of_ours(peer):
        return _progress_of_parent(peer, record, target)
    if (peer.outbound.issuer or first) == target and (not child_of_ours(peer) or (peer.inbound_root or first) == target):
        return "promoted"
    if record is not None and peer.id in record.given_up:
        return "given_up"
    if record is not None and record.next is not None:
        return "paused" if paused else "waiting"
    return "must_pair_again" if child_of_ours(peer) else "must_approve"


def _progress_of_parent(peer: PeerRecord, record: RotationRecord | None, target: str) -> Progress:
    """A parent signs our certificate, and needs our root for our listener alone, if that shows one under it."""
    if record is None or not peer.pins_our_listener or peer.told_root == target:
        return "set_aside"
    if peer.id in record.given_up:
        return "given_up"
    return "waiting" if record.next is not None else "must_approve"
