"""The audit chains of a data folder and its archive, verified without a daemon, or beside one.

Lives here: the reading. It trusts nothing in the folder: rows may be gone, unreadable or somebody else's, and each chain gets its own
verdict. Must not live here: the command (`audit`), how entries are hashed (`runtime.store.chain`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from actors.audit_archive.chains import OWNERS
from actors.audit_archive.record import SHIPMENT, ShipmentRecord, follows, object_bytes
from actors.continuity.record import KIND as CONTINUITY
from actors.peer.record import KIND as PEER
from actors.registry import DOMAIN_VERSION, KINDS
from actors.rotation.record import KIND as ROTATION
from api.cli.audit_verdicts import LEDGER, PLATFORM, Verdict, no_chain
from api.cli.failures import Exit, Failure
from api.cli.peer_names import one_peer
from runtime.ids import is_uuid
from runtime.store.ledger import Kept, Ledger, read_ledger, walk
from runtime.store.port import Condition, Kind, Query, StoreError
from runtime.store.sqlite import DATABASE_NAME
from runtime.store.sqlite_reader import SqliteReader, look

MANIFEST_BYTES_MAX: Final = 65_536

ARCHIVE: Final = "archive"
"""The folder of shipments in a data folder."""


def verdicts_of_folder(data: Path, name: str | None, kept: Kept | None) -> list[Verdict]:
    """A verdict for the chain of `name`, or for every chain that there is, or should be; the last one is about the ledger.

    Args:
        kept: what was noted of the ledger at an earlier verification.

    Raises:
        Failure: the folder holds no store, it cannot be read, or no peer is called so.
    """
    path = data / DATABASE_NAME
    if not path.is_file():
        raise Failure("no_store", f"{data} holds no store; is it the data directory of a platform?", Exit.NOT_FOUND)
    try:
        store = look(path, KINDS, DOMAIN_VERSION)
        try:
            # What somebody kept comes first: it is the stronger witness.
            ledger = read_ledger(store, [*(() if kept is None else (kept,)), *_shipped_heads(data)])
            return [*(_verdict(store, data, chain, ledger) for chain in _chains(store, name, ledger)), _of_ledger(ledger)]
        finally:
            store.close()
    except StoreError as error:
        raise Failure("audit_unreadable", str(error), Exit.FAILURE) from error


def _chains(store: SqliteReader, name: str | None, ledger: Ledger) -> list[str]:
    """Every peer has a chain, so a peer without one counts, too."""
    peers = store.ids(PEER.name)
    known = dict.fromkeys([*peers, *sorted({*store.chains(), *ledger.chains})])
    if name is None:
        return list(known)
    if name == PLATFORM:
        found = [chain for chain in known if _kind(store, chain) == PLATFORM]
    elif is_uuid(name.lower()):
        found = [chain for chain in known if chain == name.lower()]
    else:
        found = [one_peer(list(_named(store, peers)), name)]
    if not found:
        raise no_chain(name)
    return found


def _named(store: SqliteReader, peers: list[str]) -> Iterator[Mapping[str, object]]:
    for id in peers:
        try:
            row = store.load(PEER.name, id)
        except StoreError:
            row = None
        url, status = (None, None) if row is None else (row.record.remote_instance_url, row.record.status)
        yield {"id": id, "remote_instance_url": url, "status": status}


def _verdict(store: SqliteReader, data: Path, chain: str, ledger: Ledger) -> Verdict:
    count, shipped = 0, list[ShipmentRecord]()
    try:
        walked = walk(store, chain)
        count = walked.count
        mine = Query(SHIPMENT.name, ((Condition("chain", "=", chain),),), newest_first=False)
        shipped = [row.record for row in store.query(mine)]
        problem = walked.problem() or _shipments_problem(store, data, chain, shipped, count)
        problem = problem or ledger.problem_of(chain, count, walked.head) or _stray(store, chain)
    except StoreError as error:
        problem = str(error)
    return Verdict(chain, _kind(store, chain), count, len(shipped), problem)


def _of_ledger(ledger: Ledger) -> Verdict:
    return Verdict(LEDGER, LEDGER, ledger.position, 0, ledger.problem, ledger.head)


def _kind(store: SqliteReader, chain: str) -> str | None:
    """What a chain tells of; None if nothing of that name is in the store."""
    of_rows: dict[str, tuple[Kind, ...]] = {name: (kind,) for name, kind in OWNERS.items()}
    for name, kinds in (*of_rows.items(), (PLATFORM, (CONTINUITY, ROTATION))):
        try:
            if any(store.has(kind.name, chain) for kind in kinds):
                return name
        except StoreError:
            continue
    return None


def _shipments_problem(store: SqliteReader, data: Path, chain: str, shipped: list[ShipmentRecord], count: int) -> str | None:
    former: ShipmentRecord | None = None
    for each in shipped:
        problem = _shipment_problem(store, data, each, former)
        if problem is not None:
            return problem
        former = each
    archived = max((_last_sequence(path) for path in (data / ARCHIVE).glob(f"*/{chain}/*.jsonl")), default=0)
    return f"ends at entry {count}, but the archive has entry {archived}" if archived > count else None


def _shipment_problem(store: SqliteReader, data: Path, record: ShipmentRecord, former: ShipmentRecord | None) -> str | None:
    """What is wrong with a shipment: its place in the sequence, its object, or that the two do not hold the same entries."""
    if not follows(record, former):
        return f"shipment {record.number} does not follow on the one before"
    entries = store.audit(record.chain, record.first_sequence - 1, record.entry_count)
    if hashlib.sha256(object_bytes(record, entries)).hexdigest() != record.sha256:
        return f"shipment {record.number} holds other entries than the chain"
    if record.state != "verified":
        return None
    try:
        content = (data / ARCHIVE / record.path).read_bytes()
    except OSError:
        return f"shipment {record.number} is missing from the archive"
    if hashlib.sha256(content).hexdigest() != record.sha256:
        return f"shipment {record.number} was changed in the archive"
    return None


def _last_sequence(path: Path) -> int:
    """The last entry that an object of the archive says to hold; 0 if it says nothing that can be read."""
    last = _manifest(path).get("last_sequence")
    return last if isinstance(last, int) else 0


def _shipped_heads(data: Path) -> Iterator[Kept]:
    """The heads of the ledger that the objects of the archive carry; those of earlier releases carry none."""
    for path in sorted((data / ARCHIVE).glob("*/*/*.jsonl")):
        told = _manifest(path)
        with contextlib.suppress(ValueError):
            yield Kept.parse(str(told.get("ledger_head")), f"shipment {told.get('number')} of {path.parent.name}")


def _manifest(path: Path) -> Mapping[str, object]:
    """The first line of an object of the archive; nothing if it is none."""
    try:
        with path.open("rb") as lines:
            found = json.loads(lines.readline(MANIFEST_BYTES_MAX))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _stray(store: SqliteReader, chain: str) -> str | None:
    """Nothing that has a chain of its own is ever removed from the store, so an entry of something unknown was put there, or moved."""
    return None if any(store.has(kind.name, chain) for kind in KINDS) else "tells of something that is not in the store"
