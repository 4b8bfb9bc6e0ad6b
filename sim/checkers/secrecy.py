"""What must never be written down or told twice.

Lives here: the search for secrets in everything that is committed and in every answer. The checker learns each secret at the only moment at
which it may be seen: in the answer that mints it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.door.call import Answer
from sim.checkers.registry import Checker, Commit, Visit, checker

PRIVATE: Final = "PRIVATE KEY"
_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=repr)


def _words(value: Any) -> str:
    """Every text in a value, more cheaply than its whole form; that, if it holds something that cannot be encoded."""
    try:
        return _ENCODER.encode(value).decode("utf-8", "replace")
    except (OverflowError, RecursionError, TypeError, UnicodeEncodeError, ValueError):
        return repr(value)


@checker("secrecy", source="docs/trust-model.md", holds=("P3",))
class Secrecy(Checker):
    """No token, invitation or private key is in a stored row, an event, an audit entry, or in any answer but the one that mints it."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._secrets: list[str] = []

    def on_operator_answer(self, visit: Visit, answer: Answer) -> None:
        text = repr(answer.body) if self._secrets else ""
        data = answer.body.get("data") if answer.body is not None else None
        if isinstance(data, dict) and data.get("acceptance_token"):
            minted = (data["acceptance_token"].partition(".")[0], data["invitation"].split(".")[1])
            if any(secret in text for secret in minted if secret in self._secrets):
                self.complain(visit.host, f"{visit.call.method} {visit.call.path} tells a token a second time")
            self._secrets += minted
            text = repr({**data, "acceptance_token": "", "invitation": ""})
        self._search(visit.host, f"the answer to {visit.call.method} {visit.call.path}", text)

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        if visit.route == "accept":
            self._search(visit.host, "the answer to an accept", repr(answer.body))

    def on_commit(self, commit: Commit) -> None:
        for write in commit.writes:
            self._search(commit.host, f"a {type(write).__name__} of a commit", _words(write))

    def _search(self, host: Any, what: str, text: str) -> None:
        if PRIVATE in text:
            self.complain(host, f"{what} holds a private key")
        for secret in self._secrets:
            if secret in text:
                self.complain(host, f"{what} holds a token in plaintext")
                return
