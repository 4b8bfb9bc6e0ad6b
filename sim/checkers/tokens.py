"""The life of an acceptance token: minted, spent once, or dead for a reason that the audit chain names.

Lives here: rules about tokens of one's own. Must not live here: what entitles an accept (see `acceptance`).
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from sim.checkers.ability import awake, delay_s, past_s
from sim.checkers.registry import Change, Checker, Commit, checker

SWEEP_GRACE_S: Final = 60.0
"""How long after its end a token, a receipt or a handshake may still stand on a row of a running platform."""

RECEIPT_KEPT_S: Final = 900.0


def digest_of(token: str) -> str:
    """What is stored instead of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def fresh_receipt(change: Change) -> Any:
    """The receipt of an accept that this commit completes, or None."""
    after = change.after.record.receipt if change.after is not None else None
    before = change.before.record.receipt if change.before is not None else None
    return after if after is not None and after != before else None


@checker("single_use", source="docs/protocol.md#retries-and-replay", holds=("P2", "I1"))
class SingleUse(Checker):
    """A token opens one row to one handshake, a row becomes accepted once, and a spent token is never open again."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._opened: dict[str, tuple[str, str, str]] = {}
        self._accepted: dict[tuple[str, str], int] = {}

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        record, host = change.after.record, commit.host
        receipt = fresh_receipt(change)
        if receipt is not None:
            use = (host.name, change.id, receipt.handshake_id)
            if self._opened.setdefault(receipt.token_digest, use) != use:
                self.complain(host, f"{change.id}: one token was redeemed by two handshakes")
        if record.acceptance_token_digest in self._opened:
            self.complain(host, f"{change.id}: the token is spent and still open")
        for entry in commit.entries:
            if entry.chain == change.id and entry.payload.get("from") == "proposed" and entry.payload.get("to") == "accepted":
                count = self._accepted[(host.name, change.id)] = self._accepted.get((host.name, change.id), 0) + 1
                if count > 1:
                    self.complain(host, f"{change.id}: became accepted {count} times")

    def on_replaced(self, host: Any) -> None:
        # On a disk from before the accept the token was never spent, and no platform can know better.
        open_again = {record.acceptance_token_digest for record in self.facts.peers[host.name].values()}
        for digest in [digest for digest, use in self._opened.items() if use[0] == host.name and digest in open_again]:
            del self._opened[digest]
        for key in [key for key in self._accepted if key[0] == host.name]:
            record = self.facts.peers[host.name].get(key[1])
            self._accepted[key] = 0 if record is None or record.status == "proposed" else 1


@checker("token_life", source="docs/protocol.md#the-token", holds=("P2",))
class TokenLife(Checker):
    """A token comes with a proposal or a regeneration; an accept of a side, a newer one, its end, a stolen root or a revocation ends it."""

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        before = None if change.before is None else change.before.record
        after = change.after.record
        digest = before.acceptance_token_digest if before is not None else None
        actions = {entry.action for entry in commit.entries if entry.chain == change.id}
        called = actions & {"peer.accepted", "peer.rehandshake"} and fresh_receipt(change) is None
        # Out of a pause a row comes back to what it was, with the token that was minted for it since.
        resumed = before is not None and before.status == "suspended"
        if called and not resumed and after.acceptance_token_digest is not None:
            self.complain(commit.host, f"{change.id}: we have accepted by calling, and our own token is still open")
        if after.acceptance_token_digest == digest:
            return
        if after.acceptance_token_digest is not None and not actions & {"peer.proposed", "peer.token_regenerated"}:
            self.complain(commit.host, f"{change.id}: a token appears without a proposal or a regeneration")
        if before is None or digest is None or after.acceptance_token_digest is not None:
            return
        spent = after.receipt is not None and after.receipt.token_digest == digest
        dialled = before.handshake is not None and after.handshake is None and actions & {"peer.accepted", "peer.rehandshake"}
        ended = before.acceptance_token_expires_at <= commit.wall
        # A peer without a control plane is accepted here alone, with the token of its own row.
        confirmed = after.peer_kind != "platform" and "peer.accepted" in actions
        burnt = "peer.token_burnt" in actions and _root_burnt(commit.host, before.token_root)
        if not (spent or dialled or confirmed or ended or burnt or after.status == "revoked"):
            self.complain(commit.host, f"{change.id}: the token is gone, though nobody has used, replaced or outlived it")


def _root_burnt(host: Any, made_under: str | None) -> bool:
    """Whether operators have ended the root under which a token was made, and its tokens with it."""
    row = host.store.load("rotation", host.instance_id)
    former = row.record.former if row is not None else ()
    return any(root.burnt and made_under in (None, root.fingerprint) for root in former)


@checker("deadlines", source="docs/architecture.md#one-turn-of-an-actor-decide-commit-act", holds=("P2",))
class Deadlines(Checker):
    """Tokens, receipts and handshakes leave a running platform's rows within a minute of their end; restarts change nothing in that."""

    def on_start(self, host: Any) -> None:
        for id, record in self.facts.peers[host.name].items():
            self._expect(host, id, record)

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        self._expect(commit.host, change.id, change.after.record)

    def _expect(self, host: Any, id: str, record: Any) -> None:
        due = earliest_end(record)
        if due is not None:
            self._look_later(host, id, due)

    def _look_later(self, host: Any, id: str, due: float) -> None:
        incarnation = host.incarnation
        wait_s = max(due - host.clock.wall(), 0.0) + SWEEP_GRACE_S + 2 * delay_s(host)

        def look() -> None:
            record = self.facts.peers[host.name].get(id)
            if record is None or host.incarnation != incarnation or not host.running or earliest_end(record) != due:
                return
            # A disk or a process may have become slow since.
            grace_s = SWEEP_GRACE_S + 2 * delay_s(host)
            rested_s = self.facts.now - self.facts.resumed_at(host)
            if not awake(host) or rested_s < grace_s or past_s(host, due) < grace_s:
                self._look_later(host, id, due)
            else:
                late_s = host.clock.wall() - due
                self.complain(host, f"{id}: a token, a receipt or a handshake still stands there {late_s:.0f} s after its end")

        self.later(wait_s, look)


def earliest_end(record: Any) -> float | None:
    """When the first of the things on a row that end by themselves ends, seconds since the epoch."""
    ends = [
        record.acceptance_token_expires_at if record.acceptance_token_digest else None,
        record.receipt.at + RECEIPT_KEPT_S if record.receipt else None,
        record.handshake.expires_at if record.handshake else None,
    ]
    return min((end for end in ends if end is not None), default=None)
