"""What lies between two hosts at frame level: latency, loss and partitions, per direction.

Lives here: whether and when a frame arrives. Must not live here: what is in it.
"""

from __future__ import annotations

import random

import attrs


@attrs.define
class Link:
    """One direction between two hosts. Latency is uniform between its bounds; `loss` is the chance that a frame never arrives."""

    latency_min_s: float = 0.005
    latency_max_s: float = 0.020
    loss: float = 0.0
    cut: bool = False

    def transit_s(self, chance: random.Random) -> float | None:
        """How long the next frame is under way, or None if it is lost."""
        latency_s = chance.uniform(self.latency_min_s, self.latency_max_s)
        if self.cut or (self.loss and chance.random() < self.loss):
            return None
        return latency_s


class Links:
    """All links of a world, made on first use."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._links: dict[tuple[str, str], Link] = {}

    def between(self, source: str, target: str) -> Link:
        """The link from `source` to `target`."""
        link = self._links.get((source, target))
        if link is None:
            link = self._links[(source, target)] = Link()
        return link

    def transit_s(self, source: str, target: str) -> float | None:
        """How long a frame from `source` to `target` is under way now, or None if it is lost."""
        return self.between(source, target).transit_s(self._chance)

    def partition(self, one: str, other: str, *, oneway: bool = False) -> None:
        """Cut the way from `one` to `other`, and back unless `oneway`."""
        self.between(one, other).cut = True
        if not oneway:
            self.between(other, one).cut = True

    def heal(self) -> None:
        """Undo every cut and every loss."""
        for link in self._links.values():
            link.cut, link.loss = False, 0.0
