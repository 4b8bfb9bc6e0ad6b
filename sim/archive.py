"""The archive in memory: the simulator's side of `StoreObject` and `CheckObject`, with the faults of a real one.

It belongs to the host, not to its process: a crash changes nothing in it.
"""

from __future__ import annotations

import hashlib
import math

import attrs

from actors.ports import CheckObject, StoredObject, StoreObject
from runtime.errors import Fault, InternalFault


@attrs.define
class MemoryArchive:
    """Objects by path.

    Attributes:
        full: nothing more is taken.
        away: nothing can be read or written.
        forgets: what is taken is gone when somebody reads it.
        rots: what is taken comes back changed.
        mended_at, begun_at: virtual seconds at which the last of these ended, and began.
    """

    objects: dict[str, bytes] = attrs.field(factory=dict)
    full: bool = False
    away: bool = False
    forgets: bool = False
    rots: bool = False
    mended_at: float = -math.inf
    begun_at: float = -math.inf

    def trouble(self, what: str, now: float) -> None:
        """Let one of these troubles begin (`none`: end), and all others end."""
        if self.troubled():
            self.mended_at = now
        self.begun_at = now
        self.full, self.away, self.forgets, self.rots = (what == each for each in ("full", "away", "forgets", "rots"))

    def troubled(self) -> bool:
        """Whether anything is wrong with it."""
        return self.full or self.away or self.forgets or self.rots

    def well_for(self, now: float) -> float:
        """For how many seconds nothing has been wrong with it; 0 while something is."""
        return 0.0 if self.troubled() else now - self.mended_at

    def handle(self, request: StoreObject | CheckObject) -> StoredObject | Fault:
        """Answer one request of the port."""
        if self.away:
            return InternalFault("archive_unavailable", "the archive cannot be read; check its folder", 503)
        there = self.objects.get(request.path)
        if isinstance(request, CheckObject):
            return _found(there) if there is not None else InternalFault("object_missing", "the archive does not hold this object", 503)
        if there is None and self.full:
            return InternalFault("archive_unavailable", "the archive cannot be written; check its folder and the space there", 503)
        if there is not None and there != request.content:
            return InternalFault("object_exists", "other content stands there, which is left alone", 503)
        if not self.forgets:
            self.objects[request.path] = request.content[:-1] + b"?" if self.rots else request.content
        return _found(request.content)


def _found(content: bytes) -> StoredObject:
    return StoredObject(hashlib.sha256(content).hexdigest(), len(content))
