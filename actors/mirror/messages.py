"""What may be said to the shelf of a peer's mirrors, and what it answers."""

from __future__ import annotations

import attrs

from actors.mirror.reading import Told
from runtime.errors import Fault


@attrs.frozen(kw_only=True)
class Keep:
    """Records that a capability has read from the home, in the home's order. Answer, as a message to the capability: `Kept`."""

    account_id: str
    peering_epoch: int
    capability_id: str
    kind: str
    run: str
    told: tuple[Told, ...]


@attrs.frozen(kw_only=True)
class Sweep:
    """A full pass has shown every record that there is: drop the others that were not told since it began. Answer: `Kept`."""

    capability_id: str
    kind: str
    run: str
    seen: frozenset[str]
    before: float


@attrs.frozen(kw_only=True)
class Kept:
    """What became of a `Keep` or a `Sweep`; with a fault nothing was written."""

    run: str
    written: int = 0
    dropped: int = 0
    fault: Fault | None = None


@attrs.frozen(kw_only=True)
class Take:
    """The home brings one record under a grant of ours. Answer: `Taken`, or a fault (`mirrors_full`, `peer_not_admitted`)."""

    account_id: str
    peering_epoch: int
    kind: str
    grant_id: str
    told: Told


@attrs.frozen
class Taken:
    """A pushed record is acknowledged.

    `outcome`: `written`, `unchanged`, `dropped`, `overtaken` (a later state is here already) or `at_home` (its home is this platform).
    """

    outcome: str


@attrs.frozen(kw_only=True)
class Withdrawn:
    """The home has brought all that there is of a kind since its start `epoch`, or brings it no more (`epoch` None). No answer.

    What it brought earlier and not again is dropped.
    """

    kind: str
    epoch: int | None


@attrs.frozen
class Renounce:
    """A capability is gone: drop what it brought. No answer; repeated until the shelf has noted it."""

    capability_id: str


@attrs.frozen
class CameHome:
    """Records have become ours: whatever mirrors them here is dropped. No answer."""

    origin_ids: tuple[str, ...]


@attrs.frozen
class GoOn:
    """Drop the next slice."""
