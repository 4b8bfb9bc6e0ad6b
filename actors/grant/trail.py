"""What the book writes down of calls: refusals, first uses, forged headers; told at once, then counted for a minute.

Lives here: the notes that calls leave in the peer's audit chain. Must not live here: any change of a grant (see `desk`).

A caller decides how often it is refused, so it must not decide how much we write: of one source and one reason the first refusal is told at
once, and what follows within the minute is told as a count at its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from actors.grant.messages import NoteDenial, NoteFirstUse, NoteSpoof, TellDenials
from actors.limits import GRANT_DENIAL_SOURCES_MAX, GRANT_DENIALS_TOLD_EVERY_S
from runtime.actor import Actor, handles
from runtime.context import Context

OTHERS = "others"
"""The key under which refusals are counted once too many sources are being counted."""


@attrs.define
class Held:
    """What came after the first note within the minute: how often, and the latest one."""

    account_id: str
    payload: Mapping[str, Any]
    count: int = 0


class Trail(Actor):
    """Handlers of notes. What is being counted is volatile: a crash loses at most a minute of counts, never a first note."""

    counting: dict[str, Held] | None = None

    @handles(NoteDenial)
    def on_note_denial(self, message: NoteDenial, ctx: Context) -> None:
        payload = {
            "grant_id": message.grant_id,
            "code": message.code,
            "axis": message.axis,
            "subject": message.subject,
            "route": message.route,
            "source": message.source,
            "request_id": message.request_id,
        }
        self._note(ctx, f"denied {message.source} {message.code}", message.account_id, payload)

    @handles(NoteSpoof)
    def on_note_spoof(self, message: NoteSpoof, ctx: Context) -> None:
        self._note(ctx, f"spoof {message.source}", message.account_id, {"headers": list(message.headers), "source": message.source})

    @handles(NoteFirstUse)
    def on_note_first_use(self, message: NoteFirstUse, ctx: Context) -> None:
        about = {"federation_peer_id": ctx.ref.id, "grant_id": message.grant_id}
        ctx.audit("grant.used", "remote", None, **about, subject=message.subject, source=message.source, bare_token=message.bare)
        if message.bare:
            ctx.emit("federation.grant.bare_token_used", "medium", message.account_id, **about, source=message.source)

    @handles(TellDenials)
    def on_tell_denials(self, message: TellDenials, ctx: Context) -> None:
        held = (self.counting or {}).get(message.source)
        if held is None or self.counting is None:
            return
        if held.count == 0:
            del self.counting[message.source]
            return
        self._write(ctx, message.source, held.account_id, {**held.payload, "count": held.count})
        held.count = 0
        ctx.after(GRANT_DENIALS_TOLD_EVERY_S, message, f"tell {message.source}")

    def _note(self, ctx: Context, key: str, account_id: str, payload: Mapping[str, Any]) -> None:
        if self.counting is None:
            self.counting = {}
        if key not in self.counting and len(self.counting) >= GRANT_DENIAL_SOURCES_MAX:
            key = f"{key.partition(' ')[0]} {OTHERS}"
        held = self.counting.get(key)
        if held is None:
            self.counting[key] = Held(account_id, payload)
            ctx.after(GRANT_DENIALS_TOLD_EVERY_S, TellDenials(key), f"tell {key}")
            self._write(ctx, key, account_id, {**payload, "count": 1})
        else:
            held.count, held.payload = held.count + 1, payload

    def _write(self, ctx: Context, key: str, account_id: str, payload: Mapping[str, Any]) -> None:
        if key.startswith("spoof"):
            ctx.audit("grant.header_spoof", "remote", None, federation_peer_id=ctx.ref.id, **payload)
            ctx.emit("federation.header_spoof_attempt", "medium", account_id, federation_peer_id=ctx.ref.id, **payload)
        else:
            ctx.audit("grant.denied", "remote", None, federation_peer_id=ctx.ref.id, **payload)
            ctx.emit("federation.grant.denied", "low", account_id, federation_peer_id=ctx.ref.id, **payload)

    def holds_work(self) -> bool:
        return bool(self.counting)
