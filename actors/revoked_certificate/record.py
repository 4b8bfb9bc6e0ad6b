"""One certificate that our CA issued and that was revoked: known by its serial number until it would have ended anyway."""

from __future__ import annotations

from typing import Literal

import attrs

from actors.limits import SKEW_MAX_S
from runtime.store.port import Kind

Reason = Literal["peer_revoked", "superseded"]
"""`peer_revoked`: only because its peering ended, so that the caller is still recognised during the tombstone. `superseded`: a newer
certificate has taken its place."""


@attrs.frozen(kw_only=True)
class RevokedCertificate:
    """A revoked certificate; `id` is its serial number in lower-case hex. Times are seconds since the epoch."""

    id: str
    version: int = 0
    federation_peer_id: str
    reason: Reason
    revoked_at: float
    not_after: float


KIND = Kind(name="revoked_certificate", record=RevokedCertificate, due=lambda record: record.not_after + SKEW_MAX_S)
