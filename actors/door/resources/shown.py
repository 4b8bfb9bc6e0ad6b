"""What single records show to peers, made once for each state of a record.

Lives here: remembering. Must not live here: what a record shows (`actors.resource.projection`), or to whom.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import attrs

from actors.resource import projection
from actors.resource.record import ResourceRecord

RECORDS_MAX: Final = 1_024


@attrs.define(eq=False)
class Shown:
    """Exports of the records that were asked for lately."""

    limit: int = RECORDS_MAX
    _kept: OrderedDict[str, tuple[ResourceRecord, Mapping[str, Any]]] = attrs.field(factory=OrderedDict, init=False, repr=False)

    def of(self, record: ResourceRecord) -> Mapping[str, Any]:
        """All exports of a record, as `projection.exported`; for reading only."""
        known = self._kept.get(record.id)
        # A record never changes; another state of it is another object.
        if known is not None and known[0] is record:
            self._kept.move_to_end(record.id)
            return known[1]
        shown = projection.exported(record)
        self._kept[record.id] = (record, shown)
        self._kept.move_to_end(record.id)
        if len(self._kept) > self.limit:
            self._kept.popitem(last=False)
        return shown

    def __len__(self) -> int:
        return len(self._kept)
