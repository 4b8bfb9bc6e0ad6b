"""The ledger of a store: every audit entry of every chain once more, in the order of writing, so that none can be cut off a chain alone.

Lives here: reading it, reading a chain, and what the two say of each other, as words for people. It is in the same file as the chains:
whoever rewrites both, and the end that SQLite keeps, is found by a head that was kept elsewhere, in a shipment or by somebody. Must not
live here: how an entry is hashed (`chain`), and the archive (`api.cli.audit_folder`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import attrs

from runtime.store.chain import GENESIS, total, verify
from runtime.store.port import LedgerEntry
from runtime.store.sqlite_reader import SqliteReader

LINES_READ: Final = 5_000


@attrs.frozen
class Kept:
    """The head of a ledger as it was once: its last position, and the hash over everything up to that; `by` says who kept it."""

    position: int
    total: str
    by: str | None = None

    @classmethod
    def parse(cls, text: str, by: str | None = None) -> Kept:
        """From `position:hash`.

        Raises:
            ValueError: it is nothing of the kind.
        """
        found = re.fullmatch(r"(\d{1,15}):([0-9a-f]{64})", text.strip())
        if found is None:
            raise ValueError("no head of a ledger")
        return cls(int(found[1]), found[2], by)

    def broken(self) -> str:
        """What a ledger is that does not have this head."""
        kept = "whose head was kept" if self.by is None else f"whose head {self.by} has"
        return f"is not the one {kept}: it was rewritten, or is an earlier one"


@attrs.define
class Ledger:
    """What a ledger says: of each chain the last entry and its hash, and what is wrong with it.

    `anchors` are hashes, by chain and number, of entries that were pruned: it must have those, too.
    """

    chains: dict[str, tuple[int, str]] = attrs.field(factory=dict)
    anchors: dict[tuple[str, int], str] = attrs.field(factory=dict)
    anew: dict[str, int] = attrs.field(factory=dict)
    position: int = 0
    total: str = GENESIS
    problem: str | None = None

    @property
    def head(self) -> str:
        """To be kept elsewhere."""
        return f"{self.position}:{self.total}"

    def take(self, line: LedgerEntry) -> None:
        """One line more."""
        if line.position != self.position + 1 or line.total != total(self.total, line.chain, line.sequence, line.hash):
            self.problem = self.problem or f"broken from position {self.position + 1} on"
        self.position, self.total = line.position, line.total
        if self.anchors.get((line.chain, line.sequence), line.hash) != line.hash:
            self.anew.setdefault(line.chain, line.sequence)
        before = self.chains.get(line.chain, (0, ""))[0]
        if line.sequence != before + 1:
            self.anew.setdefault(line.chain, line.sequence)
        self.chains[line.chain] = (line.sequence, line.hash)

    def problem_of(self, chain: str, count: int, head: str) -> str | None:
        """What is wrong with a chain of so many entries, the last of which has the hash `head`."""
        if chain in self.anew:
            return f"entry {self.anew[chain]} was written anew: the former ones were cut off"
        written, hash = self.chains.get(chain, (0, GENESIS))
        if written > count:
            return f"ends at entry {count}, but {written} were written: the last were cut off"
        if written < count:
            return f"entry {written + 1} is not in the ledger"
        return None if hash == head else f"entry {count} is not the one that was written"


def read_ledger(store: SqliteReader, kept: Sequence[Kept] = ()) -> Ledger:
    """The whole ledger, line by line, compared with the heads that were kept of it.

    Raises:
        StoreError: it cannot be read.
    """
    anchors = {(chain, pruned.sequence): pruned.hash for chain in store.chains() for pruned in store.prunings(chain)}
    found, unmet = Ledger(anchors=anchors), [each for each in kept if (each.position, each.total) != (0, GENESIS)]
    sought = {each.position for each in unmet}
    while lines := store.ledger(found.position, LINES_READ):
        for line in lines:
            found.take(line)
            if line.position in sought:
                unmet = [each for each in unmet if (each.position, each.total) != (line.position, line.total)]
    end = store.ledger_end()
    if end != found.position:
        found.problem = found.problem or f"ends at position {found.position}, but there were {end}: the last were cut off"
    if unmet:
        found.problem = found.problem or unmet[0].broken()
    return found


@attrs.frozen
class Walked:
    """A chain as it was read: how many entries there are up to its first break, the hash of the last of them, and where it breaks.

    Of them the first `pruned` are not in the store any more; their hashes are not looked at.
    """

    count: int
    head: str
    broken_from: int | None
    pruned: int
    stray: str | None = None

    def problem(self) -> str | None:
        """What is wrong with the chain by itself."""
        return self.stray or chain_problem(self.broken_from, self.count - self.pruned)


def chain_problem(broken_from: int | None, entries: int) -> str | None:
    """The problem of a chain with so many entries that breaks first at entry `broken_from` (None: nowhere)."""
    if broken_from is not None:
        return f"broken from entry {broken_from} on"
    return None if entries else "all entries are gone"


def walk(store: SqliteReader, chain: str) -> Walked:
    """A whole chain, link by link, from where it was pruned on.

    Raises:
        StoreError: an entry cannot be read.
    """
    pruned = store.audit_pruned(chain)
    start, head = (0, GENESIS) if pruned is None else (pruned.sequence, pruned.hash)
    count = start
    first = next(iter(store.audit(chain, 0, 1)), None)
    if first is not None and first.sequence <= start:
        return Walked(start, head, None, start, f"entry {first.sequence} is there, though it was pruned")
    while entries := store.audit(chain, count, LINES_READ):
        broken = verify(entries, count, head)
        count, head = entries[-1].sequence, entries[-1].hash
        if broken is not None:
            return Walked(count, head, broken, start)
    return Walked(count, head, None, start)
