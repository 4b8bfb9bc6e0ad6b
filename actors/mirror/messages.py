"""What may be said to the shelf of a peer's mirrors, and what it answers."""

from __future__ import annotations

from actors.mirror.reading import Told
from runtime.errors import Fault
from runtime.values import Value


class Keep(Value, frozen=True, kw_only=True):
    """Records that a capability has read from the home, in the home's order. Answer, as a message to the capability: `Kept`."""

    account_id: str
    peering_epoch: int
    capability_id: str
    kind: str
    run: str
    told: tuple[Told, ...]


class Sweep(Value, frozen=True, kw_only=True):
    """A full pass has shown every record that there is: drop the others that were not told since it began. Answer: `Kept`."""

    capability_id: str
    kind: str
    run: str
    seen: frozenset[str]
    before: float


class Kept(Value, frozen=True, kw_only=True):
    """What became of a `Keep` or a `Sweep`; with a fault nothing was written."""

    run: str
    written: int = 0
    dropped: int = 0
    fault: Fault | None = None


class Take(Value, frozen=True, kw_only=True):
    """The home brings one record under a grant of ours. Answer: `Taken`, or a fault (`mirrors_full`, `peer_not_admitted`)."""

    account_id: str
    peering_epoch: int
    kind: str
    grant_id: str
    told: Told


class Taken(Value, frozen=True):
    """A pushed record is acknowledged.

    `outcome`: `written`, `unchanged`, `dropped`, `overtaken` (a later state is here already) or `at_home` (its home is this platform).
    """

    outcome: str


class Withdrawn(Value, frozen=True, kw_only=True):
    """The home has brought all that there is of a kind since its start `epoch`, or brings it no more (`epoch` None). No answer.

    What it brought earlier and not again is dropped.
    """

    kind: str
    epoch: int | None


class Renounce(Value, frozen=True):
    """A capability is gone: drop what it brought. No answer; repeated until the shelf has noted it."""

    capability_id: str


class CameHome(Value, frozen=True):
    """Records have become ours: whatever mirrors them here is dropped. No answer."""

    origin_ids: tuple[str, ...]


class GoOn(Value, frozen=True):
    """Drop the next slice."""
