"""`powernode migrations chains`: the way of a resource over several platforms."""

from __future__ import annotations

from typing import Any

import click

from api.cli.application import connected, current
from api.cli.client import Client, segment
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.output import ago, block, emit_json, listing, say, table
from api.cli.peers import resolved
from api.cli.resources import find_record_id
from api.cli.text import clean

PATH = "/platform/migration_chains"
_LONG = ("hop_peer_ids", "hop_urls", "holder", "hop", "audit_log", "waits_for")

chains = LazyGroup(
    "chains",
    help="Take a resource over several platforms. PEER is an id, the beginning of one, a URL or a host; CHAIN is an id.",
    lazy={
        "advance": ("api.cli.chains:advance", "Carry out the next hop."),
        "cancel": ("api.cli.chains:cancel", "Let no further hop begin."),
        "list": ("api.cli.chains:list_", "List chains that this platform drives."),
        "plan": ("api.cli.chains:plan", "Plan the way of a resource."),
        "retry": ("api.cli.chains:retry", "Try the hop of a failed chain again."),
        "run": ("api.cli.chains:run", "Carry out all hops."),
        "show": ("api.cli.chains:show", "Show who holds the resource and what comes next."),
    },
)


def chain_of(data: Any) -> dict[str, Any]:
    """The chain in an answer.

    Raises:
        Failure: there is none.
    """
    chain = data.get("migration_chain") if isinstance(data, dict) else None
    if not isinstance(chain, dict):
        raise Failure("daemon_error", "the answer holds no chain of migrations", Exit.FAILURE)
    return chain


def progress(chain: dict[str, Any]) -> str:
    """Who holds the resource, and what comes next, in a sentence."""
    holder = chain.get("holder") or {}
    done, total = chain.get("current_hop_index"), chain.get("total_hops")
    where = f"{_called(holder.get('url'), holder['peer_id'])} holds it" if holder.get("peer_id") else "it is here"
    if not holder.get("certain", True):
        where += f", or {_called(_url_of(chain, holder.get('or_peer_id')), holder.get('or_peer_id'))}: only its holder knows"
    if chain.get("status") == "failed":
        refuser = chain.get("refused_by_peer_id")
        who = f"{_called(_url_of(chain, refuser), refuser)} says" if refuser else "this platform found"
        where += f"; {who}: {clean(chain.get('error'))}"
    waits = clean(chain.get("waits_for"))
    return f"{done} of {total} hops done; {where}" + (f"; waits for {waits}" if waits != "nothing" else "")


def _url_of(chain: dict[str, Any], peer_id: Any) -> Any:
    return dict(zip(chain.get("hop_peer_ids") or (), chain.get("hop_urls") or (), strict=False)).get(peer_id)


def _called(url: Any, peer_id: Any) -> str:
    return clean(url) if url else f"the peer {clean(peer_id)}"


@click.command("list", cls=Command)
@connected
def list_() -> None:
    """List chains that this platform drives, newest first."""
    client = Client(current())
    listing(
        client.application,
        client.pages(PATH),
        ("id", "status", "hops", "kind", "root", "waits for", "changed"),
        lambda row, now: (
            row.get("id"),
            row.get("status"),
            f"{row.get('current_hop_index')}/{row.get('total_hops')}",
            row.get("root_resource_kind"),
            row.get("root_resource_id"),
            row.get("waits_for"),
            ago(row.get("updated_at"), now),
        ),
        empty="no chains; `powernode migrations chains plan KIND RESOURCE PEER PEER` plans one",
    )


@click.command(cls=Command)
@click.argument("chain")
@connected
def show(chain: str) -> None:
    """Show who holds the resource, which hop comes next, and what it waits for."""
    client = Client(current())
    _print(client, chain_of(client.get(f"{PATH}/{segment(chain)}").data))


@click.command(cls=Command)
@click.argument("kind")
@click.argument("resource")
@click.argument("peers", metavar="PEER...", nargs=-1, required=True)
@click.option("--copy", is_flag=True, help="Make a copy at each platform instead of moving.")
@click.option("--acknowledge-residency", is_flag=True, help="Crossing a boundary is meant.")
@connected
def plan(kind: str, resource: str, peers: tuple[str, ...], copy: bool, acknowledge_residency: bool) -> None:
    """Plan the way of a resource over PEERs, in order. Nothing is asked of anybody before `run` or `advance`."""
    client = Client(current())
    body: dict[str, Any] = {
        "operation": "duplicate" if copy else "migrate",
        "root_resource_kind": kind,
        "root_resource_id": find_record_id(client, kind, resource),
        "hop_peer_ids": [resolved(peer)[1] for peer in peers],
        "acknowledge_residency": acknowledge_residency,
    }
    _print(client, chain_of(client.post(PATH, body).data))


def _act(act: str, summary: str) -> click.Command:
    def take(chain: str) -> None:
        client = Client(current())
        found = chain_of(client.post(f"{PATH}/{segment(chain)}/{act}", {}).data)
        if client.application.as_json:
            emit_json(found)
        else:
            say(f"the chain is {clean(found.get('status'))}: {progress(found)}")

    take.__doc__ = summary
    return click.command(act, cls=Command)(click.argument("chain")(connected(take)))


run = _act("run", "Carry out all hops, one after the other; each waits for the approval of its holder's operators.")
advance = _act("advance", "Carry out the next hop, and then wait again.")
retry = _act("retry", "Try the hop of a failed chain again.")
cancel = _act("cancel", "Let no further hop begin; a hop that waits is withdrawn. Gives a failed chain up.")


def _print(client: Client, chain: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(chain)
        return
    block((name, value) for name, value in chain.items() if name not in _LONG)
    say()
    say(progress(chain))
    say()
    done, holder = chain.get("current_hop_index") or 0, chain.get("holder") or {}
    peers = chain.get("hop_peer_ids") or []
    certain = holder.get("certain", True)
    rows = [
        (
            number,
            _called(_url_of(chain, peer_id), peer_id),
            "done" if number < done else ("next" if certain else "perhaps") if number == done else "",
        )
        for number, peer_id in enumerate(peers)
    ]
    table(("hop", "to", ""), rows, empty="")
