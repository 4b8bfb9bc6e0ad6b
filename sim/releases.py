"""Releases of the program, as far as their difference shows on the wire.

Lives here: which keys of bodies a former release neither sends nor reads, so that one can run beside this one. Must not live here: what
a key means. Both releases run the same actors; only what they say and hear of each other differs, which is what neighbours notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec

from actors.ports import RemoteRequest
from runtime.values import evolve

Keys = Mapping[str, frozenset[str]]
"""Path of the federation API to keys at the top of a body (of its `data`, in answers)."""


@attrs.frozen
class Release:
    """One release.

    Attributes:
        version, tag: what a platform tells of itself.
        unknown, untold: keys of requests, and of answers, that it does not know yet.
    """

    version: str
    tag: str
    unknown: Keys = attrs.field(factory=dict)
    untold: Keys = attrs.field(factory=dict)

    def sends(self, path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """What of a request's body it would have sent."""
        keys = self.unknown.get(path)
        return body if keys is None or body is None else {key: value for key, value in body.items() if key not in keys}

    def sends_request(self, request: RemoteRequest) -> RemoteRequest:
        """The request that it would have made, whose sealed parts are still sealed."""
        keys = self.unknown.get(request.path, frozenset())
        sealed = {place: value for place, value in request.sealed_fields.items() if place.partition(".")[0] not in keys}
        return evolve(request, body=self.sends(request.path, request.body), sealed_fields=sealed)

    def reads(self, path: str, raw: bytes) -> bytes:
        """What of a request it would have taken notice of."""
        keys = self.unknown.get(path)
        if keys is None or not raw:
            return raw
        return msgspec.json.encode({key: value for key, value in msgspec.json.decode(raw).items() if key not in keys})

    def answers(self, path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """What of an answer it would have given."""
        keys = self.untold.get(path)
        if keys is None or body is None or not isinstance(body.get("data"), Mapping):
            return body
        return {**body, "data": {key: value for key, value in body["data"].items() if key not in keys}}


CURRENT: Final = Release("1.0.0", "v1.0.0")

FORMER: Final = Release(
    "0.9.0",
    "v0.9.0",
    unknown={
        "/federation_api/accept": frozenset({"handshake_id", "contract_digest", "spawn_role", "spawn_mode", "operator_grant"}),
        "/federation_api/heartbeat": frozenset(
            {
                "boot_epoch",
                "sequence",
                "start_mark",
                "history",
                "peer_state",
                "contract_digest",
                "last_ack",
                "anchor_fingerprint",
                "jurisdiction",
                "release_tag",
            }
        ),
        "/federation_api/migrations": frozenset({"chain"}),
    },
    untold={
        "/federation_api/accept": frozenset({"enrollment", "contract_digest_agreed", "handshake_at", "governance", "operator_grant"}),
        "/federation_api/heartbeat": frozenset({"our_anchor_fingerprint", "last_ack", "received_at"}),
    },
)
"""The release before: the body of the seed, without what came later for replays, order of heartbeats, drift of anchors and chains."""

RELEASES: Final[Mapping[str, Release]] = {"current": CURRENT, "former": FORMER}
