"""`powernode findings`: what the governance scan found, and what to do about it.

Lives here: the command, and the way from a finding to its remedy. Must not live here: the findings themselves (see `actors.findings`).
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

import click

from api.cli.application import connected, current
from api.cli.client import Client
from api.cli.lazy import Command, LazyGroup
from api.cli.option_types import several
from api.cli.output import ago, emit_json, note, say, table
from api.cli.peer_names import find_peer_id
from api.cli.text import clean

findings = LazyGroup(
    "findings",
    help="List what the governance scan found, with remedies.",
    lazy={"list": ("api.cli.findings:list_", "List open findings, each with its remedy.")},
)


class _Facts(string.Formatter):
    """Fills a template, leaving a fact that is not there as its name."""

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        return kwargs.get(key, f"<{key}>")


def remedy_of(finding: Mapping[str, Any]) -> str:
    """What to do about a finding as the daemon gives it: its own `remedy`, else the registered one of its kind, else nothing."""
    from actors.findings import KINDS

    if isinstance(finding.get("remedy"), str):
        return clean(finding["remedy"])
    kind = KINDS.get(str(finding.get("kind")))
    if kind is None:
        return ""
    payload = finding.get("payload")
    facts = {**(payload if isinstance(payload, Mapping) else {}), "peer_id": finding.get("federation_peer_id")}
    return clean(_Facts().vformat(kind.remedy, (), facts))


def standing(rows: Any) -> list[dict[str, Any]]:
    """The findings of an answer that stand: the daemon tells those that have ended for a while, too."""
    return [row for row in rows or [] if isinstance(row, dict) and row.get("resolved_at") is None]


@click.command("list", cls=Command)
@several("--severity", choices=("low", "medium", "high", "critical"), help="Only these")
@click.option("--peer", metavar="PEER", help="Only those about this peer.")
@click.option("--kind", metavar="KIND", help="Only this kind.")
@click.option("--resolved", is_flag=True, help="Those that have ended lately instead.")
@connected
def list_(severity: str | None, peer: str | None, kind: str | None, resolved: bool) -> None:
    """List open findings, each with its remedy."""
    client = Client(current())
    peer_id = None if peer is None else client.application.run(find_peer_id, client, peer)
    rows = client.get("/federation/governance", {"severity": severity, "peer_id": peer_id, "kind": kind}).data
    wanted = [row for row in rows or [] if isinstance(row, dict) and row.get("resolved_at") is not None] if resolved else standing(rows)
    found = [{**row, "remedy": remedy_of(row)} for row in wanted]
    if client.application.as_json:
        for row in found:
            emit_json(row)
    elif resolved:
        _print_resolved(found, client.application.clock.wall())
    else:
        print_findings(found, client.application.clock.wall())


def _print_resolved(found: list[dict[str, Any]], now: float) -> None:
    table(
        ("severity", "kind", "peer", "first seen", "resolved", "message"),
        [
            (
                row.get("severity"), row.get("kind"), row.get("federation_peer_id"), ago(row.get("first_seen_at"), now),
                ago(row.get("resolved_at"), now), row.get("message"),
            )
            for row in found
        ],
        empty="no finding has ended lately",
    )  # fmt: skip


def print_findings(found: list[dict[str, Any]], now: float) -> None:
    """Findings for people: a table, and under it what to do about each."""
    columns = ("severity", "kind", "peer", "first seen", "message")
    table(
        columns,
        [
            (row.get("severity"), row.get("kind"), row.get("federation_peer_id"), ago(row.get("first_seen_at"), now), row.get("message"))
            for row in found
        ],
        empty="no findings",
    )
    # A message of this release ends with its remedy; that of another may not.
    untold = [row for row in found if row.get("remedy") and row["remedy"] not in str(row.get("message"))]
    remedies = dict.fromkeys((str(row.get("kind")), row["remedy"]) for row in untold)
    if remedies:
        say()
    for kind, remedy in remedies:
        say(f"{clean(kind)}: {remedy}")
    if found:
        note(f"{len(found)} open")
