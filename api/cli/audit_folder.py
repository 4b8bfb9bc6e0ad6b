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

import msgspec

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
from runtime.store.chain import verify
from runtime.store.ledger import Kept, Ledger, Walked, read_ledger, walk
from runtime.store.port import AuditEntry, Condition, Kind, Query, StoreError
from runtime.store.sqlite import DATABASE_NAME
from runtime.store.sqlite_reader import SqliteReader, look

MANIFEST_BYTES_MAX: Final = 65_536

ARCHIVE: Final = "archive"
"""The folder of shipments in a data folder."""


def verdicts_of_folder(data: Path, name: str | None, kept: Kept | None, archive: Path | None = None) -> list[Verdict]:
    """A verdict for the chain of `name`, or for every chain that there is, or should be; the last one is about the ledger.

    Args:
        kept: what was noted of the ledger at an earlier verification.
        archive: where the objects of the archive are, if not in the folder.

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
            objects = data / ARCHIVE if archive is None else archive
            ledger = read_ledger(store, [*(() if kept is None else (kept,)), *_shipped_heads(objects), *_pruned_heads(store)])
            return [*(_verdict(store, objects, chain, ledger) for chain in _chains(store, name, ledger)), _of_ledger(ledger)]
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


def _verdict(store: SqliteReader, objects: Path, chain: str, ledger: Ledger) -> Verdict:
    count, pruned, unchecked, shipped = 0, 0, list[str](), list[ShipmentRecord]()
    try:
        walked = walk(store, chain)
        count, pruned = walked.count, walked.pruned
        mine = Query(SHIPMENT.name, ((Condition("chain", "=", chain),),), newest_first=False)
        shipped = sorted((row.record for row in store.query(mine)), key=lambda record: record.number)
        problem = walked.problem() or _shipments_problem(store, objects, chain, shipped, walked, unchecked)
        problem = problem or ledger.problem_of(chain, count, walked.head) or _stray(store, chain)
    except StoreError as error:
        problem = str(error)
    told = f"entries {', '.join(unchecked)}" if unchecked else None
    return Verdict(chain, _kind(store, chain), count, len(shipped), problem, pruned=pruned, unchecked=told)


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


def _shipments_problem(
    store: SqliteReader, objects: Path, chain: str, shipped: list[ShipmentRecord], walked: Walked, unchecked: list[str]
) -> str | None:
    """What is wrong with the shipments of a chain; `unchecked` gets each range of entries that is in the archive only, and not there."""
    problem = _anchor_problem(store, chain, shipped)
    former: ShipmentRecord | None = None
    for each in shipped:
        if each.last_sequence <= walked.pruned:
            found = _pruned_problem(objects, each, former)
            unchecked += [f"{each.first_sequence}–{each.last_sequence}"] if found is not None else []
        else:
            found = _shipment_problem(store, objects, each, former)
        problem, former = problem or found, each
    archived = max((_last_sequence(path) for path in objects.glob(f"*/{chain}/*.jsonl")), default=0)
    cut = f"ends at entry {walked.count}, but the archive has entry {archived}" if archived > walked.count else None
    return problem or cut


def _anchor_problem(store: SqliteReader, chain: str, shipped: list[ShipmentRecord]) -> str | None:
    """Each time a chain was pruned, that was up to the end of a verified shipment."""
    ends = {(each.id, each.last_sequence, each.head_hash) for each in shipped if each.state == "verified"}
    stray = [pruned.sequence for pruned in store.prunings(chain) if (pruned.held_by, pruned.sequence, pruned.hash) not in ends]
    return f"was pruned up to entry {stray[0]}, which no verified shipment holds" if stray else None


def _pruned_problem(objects: Path, record: ShipmentRecord, former: ShipmentRecord | None) -> str | None:
    """What is wrong with a shipment whose entries are in the archive only: they are verified link by link, as there."""
    if not follows(record, former):
        return f"shipment {record.number} does not follow on the one before"
    try:
        content = (objects / record.path).read_bytes()
    except OSError:
        return f"shipment {record.number} is missing from the archive, and its entries are nowhere else"
    try:
        entries = [msgspec.json.decode(line, type=AuditEntry) for line in content.splitlines()[1:]]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        entries = []
    as_shipped = hashlib.sha256(content).hexdigest() == record.sha256 and content == object_bytes(record, entries)
    if not as_shipped or len(entries) != record.entry_count or entries[-1].hash != record.head_hash:
        return f"shipment {record.number} was changed in the archive"
    broken = verify(entries, record.first_sequence - 1, record.previous_hash)
    return None if broken is None else f"broken from entry {broken} on, in shipment {record.number}"


def _shipment_problem(store: SqliteReader, objects: Path, record: ShipmentRecord, former: ShipmentRecord | None) -> str | None:
    """What is wrong with a shipment: its place in the sequence, its object, or that the two do not hold the same entries."""
    if not follows(record, former):
        return f"shipment {record.number} does not follow on the one before"
    entries = store.audit(record.chain, record.first_sequence - 1, record.entry_count)
    if hashlib.sha256(object_bytes(record, entries)).hexdigest() != record.sha256:
        return f"shipment {record.number} holds other entries than the chain"
    if record.state != "verified":
        return None
    try:
        content = (objects / record.path).read_bytes()
    except OSError:
        return f"shipment {record.number} is missing from the archive"
    if hashlib.sha256(content).hexdigest() != record.sha256:
        return f"shipment {record.number} was changed in the archive"
    return None


def _last_sequence(path: Path) -> int:
    """The last entry that an object of the archive says to hold; 0 if it says nothing that can be read."""
    last = _manifest(path).get("last_sequence")
    return last if isinstance(last, int) else 0


def _pruned_heads(store: SqliteReader) -> Iterator[Kept]:
    """The heads of the ledger that prunings have noted; what was pruned is in the ledger still."""
    for chain in store.chains():
        for pruned in store.prunings(chain):
            with contextlib.suppress(ValueError):
                yield Kept.parse(pruned.ledger_head, f"the pruning of {chain} up to entry {pruned.sequence}")


def _shipped_heads(objects: Path) -> Iterator[Kept]:
    """The heads of the ledger that the objects of the archive carry; those of earlier releases carry none."""
    for path in sorted(objects.glob("*/*/*.jsonl")):
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
