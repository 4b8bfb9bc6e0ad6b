"""What must never be written down or told twice.

Lives here: the search for secrets in everything that is committed, answered, logged or recorded. The checker learns each secret at the only
moment at which it may be seen: in the answer that mints it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from actors.door.call import Answer
from runtime.store.port import PutEvidence
from runtime.values import Value
from sim.checkers.registry import Checker, Commit, Visit, checker

PRIVATE: Final = "PRIVATE KEY"
ACCEPT: Final = "accept"
DELIVERY: Final = "grant_deliveries"
GRANTED: Final = frozenset({"grants", DELIVERY, "resources"})
"""What is answered to peers about grants and under them."""

PLAIN: Final = (int, float, bool, type(None))
"""What cannot hold a secret."""

LINES_KEPT: Final = 500
"""Lines of the log that are searched again when a secret is learned after they were written."""

_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=repr)


def _words(value: Any) -> str:
    """Every text in a value, more cheaply than its whole form; that, if it holds something that cannot be encoded."""
    try:
        return _ENCODER.encode(value).decode("utf-8", "replace")
    except (OverflowError, RecursionError, TypeError, UnicodeEncodeError, ValueError):
        return repr(value)


@checker("secrecy", source="docs/trust-model.md", holds=("P3",))
class Secrecy(Checker):
    """No token, invitation, bearer or private key is in a row, an event, an audit entry, the log, a recording, or a later answer."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._secrets: list[str] = []
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._searched = 0
        self._evidence: dict[tuple[str, str, str], tuple[int, list[Any]]] = {}
        self._told: set[str] = set()

    def on_operator_answer(self, visit: Visit, answer: Answer) -> None:
        body = answer.body or {}
        data = body.get("data")
        if isinstance(data, dict) and data.get("acceptance_token"):
            invitation = data.get("invitation")
            minted = (data["acceptance_token"].partition(".")[0], *([invitation.split(".")[1]] if invitation else []))
            if any(secret in _words(body) for secret in minted if secret in self._secrets):
                self.complain(visit.host, f"{visit.call.method} {visit.call.path} tells a token a second time")
            self._secrets += minted
            data = {**data, "acceptance_token": "", "invitation": ""}
        if isinstance(data, dict) and isinstance(data.get("bearer_token"), str):
            # What could not be delivered goes to the operator instead, who is then told for the first time.
            if not self._learn_bearer(data["bearer_token"], told=True):
                self.complain(visit.host, f"{visit.call.method} {visit.call.path} tells a bearer a second time")
            data = {**data, "bearer_token": ""}
        self._search(visit.host, f"the answer to {visit.call.method} {visit.call.path}", _words({**body, "data": data}))

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        if visit.route == ACCEPT or (visit.route in GRANTED and self._secrets):
            self._search(visit.host, f"the answer to {visit.route}", _words(answer.body))

    def on_call(self, visit: Visit) -> None:
        # A managed child gives its parent a bearer along with its accept.
        told = visit.body.get("operator_grant") if visit.route == ACCEPT else visit.body if visit.route == DELIVERY else None
        bearer = told.get("bearer_token") if isinstance(told, dict) else None
        if isinstance(bearer, str):
            self._learn_bearer(bearer)

    def _learn_bearer(self, bearer: str, *, told: bool = False) -> bool:
        """Whether no operator was told of its secret before. A bare bearer has none: its id stands in lists on purpose."""
        _, _, secret = bearer.partition(".")
        if secret and secret not in self._secrets:
            self._secrets.append(secret)
        first = not secret or secret not in self._told
        if told:
            self._told.add(secret)
        return first

    def on_commit(self, commit: Commit) -> None:
        for write in commit.writes:
            if type(write) is not PutEvidence or self._says_more(commit.host.name, write):
                self._search(commit.host, f"a {type(write).__name__} of a commit", _words(write))

    def _says_more(self, host: str, write: PutEvidence) -> bool:
        """Whether evidence holds anything but numbers that was not searched for all that is secret now."""
        evidence = write.evidence
        if not isinstance(evidence, Value):
            return True
        told = [value for value in astuple(evidence) if type(value) not in PLAIN]
        known, searched = (host, write.kind, write.id), (len(self._secrets), told)
        if self._evidence.get(known) == searched:
            return False
        self._evidence[known] = searched
        return True

    def on_log(self, line: str) -> None:
        # A line about a token may be written before the answer that tells it.
        self._lines.append(line)
        self._search_log(line)

    def on_step(self, host: Any) -> None:
        if len(self._secrets) > self._searched:
            self._searched = len(self._secrets)
            for line in self._lines:
                self._search_log(line)

    def on_record(self, host: Any, text: str) -> None:
        self._search(host, "the flight recording", text)

    def _search_log(self, line: str) -> None:
        flaw = self.flaw_in(line)
        if flaw is not None:
            self._complain(self.name, "a platform", f"a line of the log holds {flaw}")

    def _search(self, host: Any, what: str, text: str) -> None:
        flaw = self.flaw_in(text)
        if flaw is not None:
            self.complain(host, f"{what} holds {flaw}")

    def flaw_in(self, text: str) -> str | None:
        """What a text tells that it must not tell, or None."""
        if PRIVATE in text:
            return "a private key"
        for secret in self._secrets:
            if secret in text:
                return "a token in plaintext"
        return None
