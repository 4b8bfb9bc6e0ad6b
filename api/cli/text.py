"""Text for people: words of a remote must not steer the operator's terminal, and one thing is not called "1 things".

Lives here: the escaping of control characters, numbers with their nouns. Must not live here: layout.
"""

from __future__ import annotations

import unicodedata


def clean(value: object) -> str:
    r"""`value` as one line of text in which everything that a terminal might obey is shown as an escape, as in `\x1b`.

    Control (Cc), format (Cf, which holds the bidirectional overrides), surrogate and line separator characters are escaped.
    """
    text = "" if value is None else str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escape(character) if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") else character for character in text
    )


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: `1 peer`, `2 peers`, `0 entries`; `plural` where an s at the end does not make it."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
