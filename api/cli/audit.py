"""`powernode audit`: whether audit chains are whole, and what of them stands in the archive.

Lives here: the commands. A chain is verified here, from the entries that the daemon shows, by the same function as everywhere. Must not
live here: reading a data folder without a daemon (`audit_folder`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from api.cli.application import Application, connected
from api.cli.audit_verdicts import LEDGER, PLATFORM, Verdict, no_chain
from api.cli.client import Client, segment
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.output import ago, block, emit_json, listing, note, say
from api.cli.peer_names import find_peer_id, peer_path
from api.cli.peers import print_trail, resolved, trail
from api.cli.text import counted
from runtime.store.chain import GENESIS
from runtime.store.chain import verify as broken_at
from runtime.store.ledger import Kept, chain_problem
from runtime.store.port import AuditEntry

CHAINS: Final = "/platform/audit/chains"

audit = LazyGroup(
    "audit",
    help="List, read and verify audit chains, and see what of them is in the archive. "
    "CHAIN is a peer, named as everywhere, `platform`, or the id of a chain.",
    lazy={
        "ask": ("api.cli.audit:ask", "Ask a peer for our part of its audit trail."),
        "chains": ("api.cli.audit:chains", "List every audit chain, how long it is and what of it is shipped."),
        "ship": ("api.cli.audit:ship", "Ship what is old enough to the archive now."),
        "shipments": ("api.cli.audit:shipments", "List the shipments of a chain."),
        "prune": ("api.cli.audit_pruning:prune", "Remove what is older than the retention and safely in the archive."),
        "show": ("api.cli.audit:show", "Print an audit chain, oldest entry first."),
        "verify": ("api.cli.audit:verify", "Verify audit chains, link by link."),
    },
)


@click.command(cls=Command)
@click.argument("chain", required=False)
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="Read this data folder instead of asking a daemon, its archive included.",
)  # fmt: skip
@click.option(
    "--kept", metavar="N:HASH", help="With --data: what an earlier verification said of the ledger; nothing before it may have changed."
)
@click.option(
    "--archive", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="With --data: where the objects of the archive are, if not in its `archive/`.",
)  # fmt: skip
@connected
def verify(chain: str | None, data: Path | None, kept: str | None, archive: Path | None) -> None:
    """Verify audit chains, link by link; exit 1 if one is broken.

    Without CHAIN every chain is verified: those of peers, of ended peerings too, of service offerings and approvals, and the platform's
    own. With --data the shipments, the archive and the ledger are compared as well, so that entries cut off the end of a chain are noticed;
    nothing is changed in the folder, and a daemon may run on it.
    Entries that were pruned are verified in the objects that hold them. Note the head of the ledger elsewhere, and give it with --kept next
    time.
    """
    from api.cli.audit_folder import verdicts_of_folder

    if data is None and (kept is not None or archive is not None):
        raise click.UsageError("--kept and --archive need --data: only the file shows its ledger, and a daemon does not show objects")
    application = click.get_current_context().ensure_object(Application)
    verdicts = verdicts_of_folder(data, chain, _kept(kept), archive) if data is not None else list(_of_daemon(application, chain))
    for verdict in verdicts:
        if application.as_json:
            emit_json(dict(verdict.document()))
        else:
            say(_line(verdict))
    broken = [verdict for verdict in verdicts if verdict.problem is not None]
    note(f"{counted(sum(verdict.kind != LEDGER for verdict in verdicts), 'chain')} verified, {len(broken)} broken")
    if data is None:
        note("link by link; entries cut off the end are noticed on the platform's host, with --data DIR")
    pruned = [verdict for verdict in verdicts if verdict.pruned]
    if pruned and data is None:
        note(f"{counted(len(pruned), 'chain')} with entries that were pruned; those are verified with --data DIR, in the archive")
    if broken:
        raise Failure(
            "audit_broken", "an audit chain was changed; compare it with a backup, the archive, and what peers have of it", Exit.FAILURE
        )


def _line(verdict: Verdict) -> str:
    told = verdict.problem or "whole"
    if verdict.head is not None:
        return f"ledger  {counted(verdict.entries, 'entry', 'entries')}  {told}  head {verdict.head}"
    pruned = f", {verdict.pruned} of them pruned" if verdict.pruned else ""
    shipped = f", {counted(verdict.shipments, 'shipment')}" if verdict.shipments else ""
    unchecked = f"; not checked: {verdict.unchecked}" if verdict.unchecked else ""
    return (
        f"{verdict.chain}  {verdict.kind or 'unknown'}  {counted(verdict.entries, 'entry', 'entries')}{pruned}{shipped}  {told}{unchecked}"
    )


def _kept(text: str | None) -> Kept | None:
    try:
        return None if text is None else Kept.parse(text)
    except ValueError:
        raise click.UsageError("--kept is what a verification printed behind `head`: a number, a colon and 64 hexadecimal digits") from None


def _of_daemon(application: Application, chain: str | None) -> Iterator[Verdict]:
    client = Client(application)
    rows = {str(row["id"]): row for row in client.pages(CHAINS)}
    found = {id: str(row["kind"]) for id, row in rows.items()}
    if chain is not None:
        only = _own(found) if chain == PLATFORM else _resolved(client, chain)
        if only not in found:
            raise no_chain(only)
        found = {only: found[only]}
    for id, kind in found.items():
        told = application.run(trail, client, _path(id, "entries"), None)
        try:
            entries = [_entry(each) for each in told]
            begin = int(rows[id].get("pruned_up_to") or 0)
        except (KeyError, TypeError, ValueError):
            yield Verdict(id, kind, len(told), 0, "the daemon's answer holds no audit entries")
            continue
        broken = broken_at(entries, begin, str(rows[id].get("pruned_hash") or GENESIS) if begin else GENESIS)
        unchecked = f"entries 1–{begin}" if begin else None
        yield Verdict(id, kind, begin + len(entries), 0, chain_problem(broken, len(entries)), pruned=begin, unchecked=unchecked)


def _path(chain: str, what: str) -> str:
    return "/".join((CHAINS, segment(chain), what))


def _resolved(client: Client, name: str) -> str:
    """The id of the chain that `name` means."""
    if name == PLATFORM:
        return _own({str(row["id"]): str(row["kind"]) for row in client.pages(CHAINS)})
    return client.application.run(find_peer_id, client, name)


def _own(kinds: Mapping[str, str]) -> str:
    """The platform's own chain among these."""
    own = next((id for id, kind in kinds.items() if kind == PLATFORM), None)
    if own is None:
        raise no_chain(PLATFORM)
    return own


@click.command(cls=Command)
@connected
def chains() -> None:
    """List every audit chain: what it tells of, how long it is, and up to which entry it is in the archive."""
    client = Client(click.get_current_context().ensure_object(Application))
    listing(
        client.application,
        client.pages(CHAINS),
        ("chain", "kind", "entries", "pruned", "shipped", "last", "head"),
        lambda row, now: (
            row.get("id"), row.get("kind"), row.get("entry_count"), row.get("pruned_up_to"), row.get("shipped_up_to"),
            ago(row.get("last_at"), now), str(row.get("head_hash") or "–")[:12],
        ),
        empty="nothing has been written to an audit chain",
    )  # fmt: skip


@click.command(cls=Command)
@click.argument("chain")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@connected
def show(chain: str, limit: int | None) -> None:
    """Print an audit chain, oldest entry first."""
    client = Client(click.get_current_context().ensure_object(Application))
    print_trail(client, _path(_resolved(client, chain), "entries"), limit)


def _entry(told: Mapping[str, Any]) -> AuditEntry:
    return AuditEntry(
        chain=told["chain"], sequence=told["sequence"], action=told["action"], at=float(told["at_epoch_s"]),
        actor_kind=told["actor"]["kind"], actor_id=told["actor"]["id"], payload=told["payload"], previous_hash=told["prev_hash"],
        hash=told["hash"],
    )  # fmt: skip


@click.command(cls=Command)
@click.argument("chain")
@connected
def shipments(chain: str) -> None:
    """List what of an audit chain is in the archive, newest first."""
    client = Client(click.get_current_context().ensure_object(Application))
    rows = client.pages(_path(_resolved(client, chain), "shipments"))
    listing(
        client.application,
        rows,
        ("number", "entries", "status", "until", "shipped", "sha256", "error"),
        lambda row, now: (
            row.get("number"),
            f"{row.get('first_sequence')}–{row.get('last_sequence')}",
            row.get("status"),
            row.get("period_end"),
            ago(row.get("shipped_at"), now),
            str(row.get("sha256"))[:12],
            row.get("error"),
        ),
        empty="nothing has been shipped; entries are once they are older than `federation.audit_boundary`",
    )


@click.command(cls=Command)
@connected
def ship() -> None:
    """Ship what is old enough of every audit chain to the archive now, as the daily run does; exit 1 if something failed."""
    client = Client(click.get_current_context().ensure_object(Application))
    told = client.post("/platform/audit/ship", {}).data
    if client.application.as_json:
        emit_json(told)
    else:
        block(dict(told).items())
    if not told.get("shipped") and not told.get("failures"):
        note("nothing new is old enough: an entry is shipped once it is older than `federation.audit_boundary`")
    if told.get("failures"):
        raise Failure("audit_seal_failed", "not everything is safely in the archive; `powernode findings list` says why", Exit.FAILURE)


@click.command(cls=Command)
@click.argument("peer")
@click.option("--since", metavar="TIME", help="From this instant, ISO-8601 with a zone; 90 days ago if not given.")
@click.option("--until", metavar="TIME", help="Up to this instant; now if not given.")
@connected
def ask(peer: str, since: str | None, until: str | None) -> None:
    """Ask a peer for our part of its audit trail, and print it, oldest first."""
    client, peer_id = resolved(peer)
    given: dict[str, Any] = {name: value for name, value in (("since", since), ("until", until)) if value is not None}
    cursor: int | None = 0
    while cursor is not None:
        told = client.post(peer_path(peer_id, "audit_requests"), {**given, "cursor": cursor}).data
        for event in told["events"]:
            if client.application.as_json:
                emit_json(event)
            else:
                payload = msgspec.json.encode(event.get("payload")).decode()
                say(f"{event.get('sequence'):>6}  {event.get('at')}  {event.get('action')}  {payload}")
        cursor = told.get("next_cursor")
