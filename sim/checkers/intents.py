"""What leaves for a peer was written down before: a crash, or a refusal of the store, leaves no peer with what nobody here knows of.

Lives here: rules about calls that begin or end something at a peer, held against the rows that are committed. Must not live here: accepts
(see `outbound`).
"""

from __future__ import annotations

import re
from typing import Any, Final

from actors.ports import RemoteRequest
from runtime.store.port import Query
from sim.checkers.registry import Checker, Commit, checker

SEATS: Final = "/federation_api/subscriptions"
MIGRATIONS: Final = "/federation_api/migrations"
STEPS: Final = {"": {"transferring"}, "steps": {"transferring"}, "commit": {"applying"}, "finalize": {"finalizing"}}
"""Last part of a migration's call to the statuses in which it may leave."""

_ONE: Final = re.compile(MIGRATIONS + r"(?:/([0-9a-f-]{36})/(\w+))?")


@checker("intents_durable", source="docs/architecture.md#one-turn-of-an-actor-decide-commit-act")
class IntentsDurable(Checker):
    """What asks a peer for a seat, or moves records to it, leaves only once the platform has written down that it wants it."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._migrations: dict[tuple[str, str], str] = {}

    def on_start(self, host: Any) -> None:
        # The disk decides anew: it may hold an earlier copy.
        self._migrations = {key: status for key, status in self._migrations.items() if key[0] != host.name}
        for row in host.store.query(Query("migration")):
            self._migrations[host.name, row.record.transfer_id] = row.record.status

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind == "migration" and change.after is not None:
                self._migrations[commit.host.name, change.after.record.transfer_id] = change.after.record.status

    def on_request(self, host: Any, request: RemoteRequest) -> None:
        if request.method == "POST" and request.path.startswith(SEATS):
            self._seat(host, request)
        elif request.method in ("POST", "PUT") and (found := _ONE.fullmatch(request.path)) is not None:
            self._move(host, request, found)

    def _seat(self, host: Any, request: RemoteRequest) -> None:
        key = (request.body or {}).get("idempotency_key")
        rows = (row.record for row in host.store.query(Query("service_subscription")))
        if not any(key in (record.id, record.renewal_key) and record.federation_peer_id == request.peer_id for record in rows):
            self.complain(host, f"{request.path} leaves for a seat that no subscription here wants")

    def _move(self, host: Any, request: RemoteRequest, found: re.Match[str]) -> None:
        id, step = found[1] or (request.body or {}).get("migration_id", ""), found[2] or ""
        status = self._migrations.get((host.name, id))
        if step in STEPS and status not in STEPS[step]:
            self.complain(host, f"{step or 'the announcement'} of the migration {id} leaves, which is {status}")
