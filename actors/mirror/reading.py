"""What a home tells of one record, read strictly: every value is hostile until it has passed through here. Pure.

Lives here: attributes out of remote input by the allowlist of their kind. Must not live here: whether it is kept (the shelf decides).

A home one release ahead may export attributes that are unknown here. They are left out; nothing that the kind does not declare is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actors.inventory.kind import ResourceKind
from actors.mirror.record import Moment
from actors.problems import Problem
from actors.resource.limits import RECORD_BYTES_MAX
from runtime.values import Value


class Told(Value, frozen=True, kw_only=True):
    """One record as its home tells it; `attributes` is None once it is gone, or is not to be mirrored any more."""

    origin_id: str
    etag: str
    moment: Moment
    attributes: Mapping[str, Any] | None


def attributes_of(kind: ResourceKind, value: Mapping[str, Any], problems: list[Problem], path: str) -> Mapping[str, Any] | None:
    """The attributes that this platform keeps, or None after noting what is wrong with them."""
    known = {name: value[name] for name in kind.fields if value.get(name) is not None}
    built = kind.builder(known, problems, path)
    if built is None:
        return None
    kept = {name: built[name] for name in kind.fields if name in built}
    if len(msgspec.json.encode(kept)) > RECORD_BYTES_MAX:
        problems.append(Problem(path, "resource_too_large", f"takes at most {RECORD_BYTES_MAX} bytes as compact JSON", 413))
        return None
    return kept
