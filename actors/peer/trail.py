"""Excerpts of audit trails between a peer and us: each look is itself an entry of the trail.

Lives here: the entries, and our own question to the remote. Must not live here: what is shown (`actors.audit_archive.excerpts`).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from actors.audit_archive import excerpts
from actors.peer import remote_answers
from actors.peer.messages import AskExcerpts, ExcerptsAnswered, ExcerptsRead
from actors.peer.outbound import exchange
from actors.peer.record import PeerRecord
from actors.ports import RemoteReply
from runtime.actor import Actor, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault, RemoteFault


class Trail(Actor):
    """Handlers of looks at audit trails."""

    @handles(ExcerptsRead)
    def on_excerpts_read(self, message: ExcerptsRead, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None or record.status != "active":
            ctx.reply(RemoteFault("peer_not_active", "excerpts are for active peers", 403))
            return
        ctx.audit("audit.excerpts_read", "remote", record.remote_instance_id, federation_peer_id=record.id,
                  since=iso(message.since), until=iso(message.until))  # fmt: skip
        ctx.reply(True)

    @handles(AskExcerpts)
    def on_ask_excerpts(self, message: AskExcerpts, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None:
            ctx.reply(OperatorFault("not_found", "there is no such peer", 404))
            return
        query = urlencode({"since": iso(message.since), "until": iso(message.until), "limit": message.limit, "cursor": message.cursor})
        request = exchange(record, self.evidence, ctx.settings, ctx.wall, "GET", f"/federation_api/audit_excerpts?{query}")
        if isinstance(request, Fault):
            ctx.reply(request)
            return
        ctx.audit("audit.excerpts_requested", "user", message.by, federation_peer_id=record.id,
                  since=iso(message.since), until=iso(message.until))  # fmt: skip
        ctx.call(request, then=ExcerptsAnswered, tag=ctx.defer())

    @handles(ExcerptsAnswered)
    def on_excerpts_answered(self, message: ExcerptsAnswered, ctx: Context) -> None:
        ctx.answer(message.tag, message.fault or _read(message.outcome))


def _read(reply: Any) -> Any:
    """What the remote told, or why it told nothing."""
    assert isinstance(reply, RemoteReply)
    if reply.status != 200:
        code = remote_answers.remote_code(reply)
        text = f"the remote refused ({code or reply.status})"
        return RemoteFault("remote_rejected", text, 502, {"remote_status": reply.status, "remote_code": code})
    told = excerpts.taken(reply.body)
    return told if told is not None else RemoteFault("remote_error", "the remote's answer is no excerpt of an audit trail", 502)
