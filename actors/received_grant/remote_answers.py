"""What an issuer tells of a grant, parsed: every value is hostile until it has passed through here.

Lives here: strict reading, and what the issuer's answer means for an operator who brings a bearer. What this platform does not know is left
out, since the issuer may be one version ahead. Must not live here: anything that keeps a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from actors.grant.record import SCOPES
from actors.inventory import registry
from actors.limits import GRANT_KIND_CHARS_MAX, GRANT_SUBJECT_CHARS_MAX, NAME_CHARS_MAX, PAGE_MAX
from actors.peer.remote_answers import remote_code, retry_after_s
from actors.ports import RemoteReply
from actors.problems import Problem
from actors.received_grant.record import GrantFacts
from actors.sanitize import parse_instant, parse_short_text
from runtime.errors import Fault, RemoteFault
from runtime.ids import is_uuid

BEARER_OVER: Final = frozenset({"grant_token_invalid", "grant_expired", "grant_revoked"})
"""Refusals by which an issuer says that a bearer will never be good again."""

KIND_NAME: Final = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{GRANT_KIND_CHARS_MAX - 1}}}", re.ASCII)


def parse_facts(value: object) -> GrantFacts | str:
    """What is told of one grant, or the field that cannot be used. Scopes that are unknown here are left out."""
    if not isinstance(value, Mapping):
        return "grant"
    kind, resource_id, scopes = value.get("resource_kind"), value.get("resource_id"), value.get("permission_scopes")
    if not is_uuid(value.get("id")):
        return "id"
    if not isinstance(kind, str) or KIND_NAME.fullmatch(kind) is None:
        return "resource_kind"
    if resource_id is not None and not is_uuid(resource_id):
        return "resource_id"
    if not isinstance(scopes, list) or not 0 < len(scopes) <= NAME_CHARS_MAX:
        return "permission_scopes"
    problems: list[Problem] = []
    subject = parse_short_text(value.get("remote_subject"), problems, "remote_subject", chars_max=GRANT_SUBJECT_CHARS_MAX)
    state = parse_short_text(value.get("state"), problems, "state", chars_max=NAME_CHARS_MAX)
    issued_at, expires_at = parse_instant(value.get("issued_at")), parse_instant(value.get("expires_at"))
    if issued_at is None or expires_at is None:
        return "issued_at" if issued_at is None else "expires_at"
    if problems:
        return problems[0].field
    known = registry.find(kind)
    return GrantFacts(
        grant_id=value["id"],
        remote_subject=subject,
        resource_kind=known.kind if known is not None else kind,
        resource_id=resource_id,
        permission_scopes=tuple(scope for scope in SCOPES if scope in scopes),
        issued_at=issued_at,
        expires_at=expires_at,
        state=state or "active",
    )


def confirmed(reply: RemoteReply, grant_id: str) -> GrantFacts | Fault:
    """What the issuer says of the grant whose bearer was presented, or why the bearer is not worth keeping."""
    if reply.status != 200:
        return refused(reply)
    data = reply.body.get("data")
    told = data[:PAGE_MAX] if isinstance(data, list) else []
    entry = next((each for each in told if isinstance(each, Mapping) and each.get("id") == grant_id), None)
    if entry is None:
        return rejected("the peer has issued no such grant to this platform", {"reason": "unknown_grant"})
    facts = parse_facts(entry)
    if isinstance(facts, str):
        return rejected(f"the peer's answer cannot be used: {facts} is missing or malformed", {"field": facts})
    if facts.state != "active":
        return rejected("this grant has ended; ask the peer's operator for a new one", {"reason": "grant_ended"})
    if entry.get("presented") is False:
        return rejected("the peer knows this grant, but not with this secret; it may have been rotated", {"reason": "wrong_secret"})
    return facts


def refused(reply: RemoteReply) -> Fault:
    """A refusal of the issuer, in the words of this platform; only its code, the failing axis and its correlation id are passed on.

    With the id the issuer's operators can have the refusal explained; no other name of the call is known on both sides.
    """
    code = remote_code(reply)
    details: dict[str, object] = {"remote_status": reply.status, "remote_code": code}
    told = reply.body.get("details")
    axis = told.get("axis") if isinstance(told, Mapping) else None
    if isinstance(axis, str) and KIND_NAME.fullmatch(axis) is not None:
        details["axis"] = axis
    request_id = reply.body.get("request_id")
    if isinstance(request_id, str) and is_uuid(request_id):
        details["remote_request_id"] = request_id
    if reply.status == 429:
        wait_s = retry_after_s(reply)
        return RemoteFault("remote_rate_limited", "the peer limits these calls; try again later", 429, details, retry_after_s=wait_s)
    if 400 <= reply.status < 500:
        return RemoteFault("remote_rejected", f"the peer refused the call ({code or reply.status})", 502, details)
    return RemoteFault("remote_error", f"the peer answered with HTTP status {reply.status}", 502, details)


def rejected(text: str, details: Mapping[str, object]) -> Fault:
    """The refusal of an answer that is no use."""
    return RemoteFault("remote_rejected", text, 502, dict(details))
