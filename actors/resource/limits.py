"""Named limits of the catalogue, with the relations between them asserted at import."""

from __future__ import annotations

from typing import Final

from actors.limits import CHANNEL_BODY_BYTES_MAX, DAY_S, PAGE_MAX

RECORD_BYTES_MAX: Final = 65_536
"""Attributes of one record as compact JSON."""

BATCH_RECORDS_MAX: Final = 500
"""Records written by one request, and so by one transaction."""

BATCH_BODY_BYTES_MAX: Final = 1_048_576
IDS_TOLD_MAX: Final = 64
"""Ids that one event of a change names."""

OWNED_MAX: Final = 4_000
"""Records that one record may own; they are deleted and moved with it in one transaction."""

TOMBSTONE_KEPT_S: Final = 90 * DAY_S
"""How long a deletion can be read by those who follow changes; behind it they read everything anew."""

PAGE_BYTES_MAX: Final = 4 * 1_048_576
"""A page of the resources endpoints is cut before it would be longer, as JSON."""

CHANNEL_PAGE_BYTES_MAX: Final = CHANNEL_BODY_BYTES_MAX - 4_096
"""The same for a page that goes out on a peer channel, within its envelope."""

ROWS_EXAMINED_MAX: Final = 1_000
"""Rows that one page looks at; a filter that few records pass yields shorter pages rather than slow ones."""

CURSOR_VALID_S: Final = 900.0
FILTERS_MAX: Final = 8
FILTER_VALUES_MAX: Final = 64
FIELDS_MAX: Final = 64

assert RECORD_BYTES_MAX + 4_096 < CHANNEL_PAGE_BYTES_MAX < PAGE_BYTES_MAX
assert PAGE_MAX <= ROWS_EXAMINED_MAX
