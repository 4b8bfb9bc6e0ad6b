"""What a verification of an audit chain has found, and the words for it.

Lives here: the verdict, as people and machines get it, and what is said of a chain that is not there. Must not live here: where the entries
come from (`audit`, `audit_folder`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from api.cli.failures import Exit, Failure

LEDGER: Final = "ledger"
"""The kind of the verdict about the ledger of all chains."""

PLATFORM: Final = "platform"
"""The kind of the platform's own chain, and how people name it."""


@attrs.frozen
class Verdict:
    """What was found about one chain, which is named by the id of what it tells of.

    Attributes:
        kind: what that is; None if it is nothing that is known.
        problem: None: it is whole.
        pruned: how many of the entries are not in the store any more.
        unchecked: what of the chain could not be looked at; None: nothing.
        head: of the ledger: its last position and the hash over all of it, to be kept elsewhere.
    """

    chain: str
    kind: str | None
    entries: int
    shipments: int
    problem: str | None
    head: str | None = None
    pruned: int = 0
    unchecked: str | None = None

    def document(self) -> Mapping[str, Any]:
        """For machines."""
        peer_id = self.chain if self.kind == "peer" else None
        about = {"chain": self.chain, "kind": self.kind, "federation_peer_id": peer_id}
        found = {"entries": self.entries, "pruned": self.pruned, "shipments": self.shipments, "problem": self.problem}
        return {**about, **found, "unchecked": self.unchecked, "head": self.head}


def no_chain(name: str) -> Failure:
    """There is no audit chain of this name."""
    if name == PLATFORM:
        text = "the platform's own chain has no entry yet: its root was never rotated, and its trust never frozen"
    else:
        text = f"there is no audit chain {name}; `powernode audit chains` lists them"
    return Failure("not_found", text, Exit.NOT_FOUND)
