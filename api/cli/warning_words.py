"""What the daemon says beside an answer, for people: each code of a warning as a sentence that names what helps.

Lives here: the words. Must not live here: when a warning is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from api.cli.output import note
from api.cli.text import clean

_WORDS: Final = {
    "no_active_bridge": "no active bridge opens the network {what} to this peer, so nothing is admitted by way of it; "
    "`powernode bridges list PEER` shows those that there are",
    "not_delivered": "the peer has not taken the bearer ({what}); hand it over by another way",
    "delivery_unknown": "whether the peer has the bearer is not known; `powernode grants rotate` makes another one",
    "trust_material_missing": "no trust material was exchanged, so this peering stays accepted; it needs a new invitation",
    "operator_grant_not_taken": "the parent did not take the grant to operate this platform; `powernode peers entrust` gives it anew",
    "bridge_not_proposed": "the peer was proposed, but its bridge was not; `powernode bridges create` does it",
}


def warn(warning: Any) -> None:
    """Print one warning; a code without words of its own as it is."""
    note(f"warning: {clean(in_words(warning))}")


def in_words(warning: Any) -> str:
    """A warning as a sentence. It may be a code, a code and what it is about behind a colon, a text, or an object with a message."""
    text = str(warning.get("message") if isinstance(warning, Mapping) else warning)
    code, _, what = text.partition(":")
    words = _WORDS.get(code)
    return text if words is None else f"{words.format(what=what or 'no reason was told')} ({text})"
