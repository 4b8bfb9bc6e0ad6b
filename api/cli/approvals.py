"""`powernode approvals`: operations that wait until somebody has approved them."""

from __future__ import annotations

import json
from typing import Any

import click

from api.cli.application import connected, current
from api.cli.client import Client, segment
from api.cli.confirming import YES, confirm
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.option_types import several
from api.cli.output import ago, block, emit_json, listing, say, table
from api.cli.text import clean

PATH = "/api/v1/ai/autonomy/approvals"
STATUSES = ("pending", "approved", "rejected", "expired", "cancelled")
_LONG = ("plan", "params_redacted", "steps", "resolution")

approvals = LazyGroup(
    "approvals",
    help="See and decide about operations that wait for approval. APPROVAL is an id.",
    lazy={
        "approve": ("api.cli.approvals:approve", "Approve an operation; it is done at once."),
        "cancel": ("api.cli.approvals:cancel", "Withdraw a request undecided."),
        "list": ("api.cli.approvals:list_", "List what waits, or has waited, for approval."),
        "reject": ("api.cli.approvals:reject", "Reject an operation; it is never done."),
        "show": ("api.cli.approvals:show", "Show one request with its plan."),
    },
)


def approval_of(data: Any) -> dict[str, Any]:
    """The request in an answer.

    Raises:
        Failure: there is none.
    """
    approval = data.get("approval") if isinstance(data, dict) else None
    if not isinstance(approval, dict):
        raise Failure("daemon_error", "the answer holds no request for approval", Exit.FAILURE)
    return approval


def waits(data: Any) -> str | None:
    """What to say of an answer that means: this operation waits for approval now. None for any other answer."""
    if not isinstance(data, dict) or data.get("pending") is not True:
        return None
    id, until = clean(data.get("approval_request_id")), clean(data.get("expires_at"))
    return f"nothing has been done yet: this waits for approval until {until}; `powernode approvals approve {id}` approves it"


@click.command("list", cls=Command)
@several("--status", choices=STATUSES, help="Only these")
@click.option("--category", metavar="NAME", help="Only this category, such as system.migration_hop.")
@connected
def list_(status: str | None, category: str | None) -> None:
    """List what waits, or has waited, for approval, newest first."""
    client = Client(current())
    query = {"status": status, "category": category}
    rows = client.pages(PATH, {name: value for name, value in query.items() if value is not None})
    listing(
        client.application,
        rows,
        ("id", "status", "done", "what", "asked", "until"),
        lambda row, now: (
            row.get("id"),
            row.get("status"),
            row.get("execution_status"),
            row.get("summary"),
            ago(row.get("created_at"), now),
            row.get("expires_at"),
        ),
        empty="nothing waits for approval",
    )


@click.command(cls=Command)
@click.argument("approval")
@connected
def show(approval: str) -> None:
    """Show one request: what would be done, what a dry run said, who has decided."""
    client = Client(current())
    _print(client, approval_of(client.get(f"{PATH}/{segment(approval)}").data))


@click.command(cls=Command)
@click.argument("approval")
@click.option("--comment", metavar="TEXT", help="Kept with the decision.")
@YES
@connected
def approve(approval: str, comment: str | None, yes: bool) -> None:
    """Approve an operation. Everything is looked at again, and then it is done at once."""
    client = Client(current())
    path = f"{PATH}/{segment(approval)}"
    if not yes:
        asked = approval_of(client.get(path).data)
        confirm(client, f"{clean(asked.get('summary'))}. {clean(asked.get('impact'))} Approve?", yes=False)
    found = approval_of(client.post(f"{path}/approve", {"comment": comment} if comment else {}).data)
    _print_outcome(client, found)
    if found.get("execution_status") == "failed":
        told = found.get("resolution") or {}
        raise Failure(str(told.get("code", "failed")), f"it was approved and not done: {told.get('message', 'it failed')}", Exit.FAILURE)


@click.command(cls=Command)
@click.argument("approval")
@click.option("--reason", required=True, metavar="TEXT", help="Told to who asked.")
@connected
def reject(approval: str, reason: str) -> None:
    """Reject an operation; it is never done."""
    client = Client(current())
    _print_outcome(client, approval_of(client.post(f"{PATH}/{segment(approval)}/reject", {"reason": reason}).data))


@click.command(cls=Command)
@click.argument("approval")
@connected
def cancel(approval: str) -> None:
    """Withdraw a request undecided, as who asked for it or as who could decide about it."""
    client = Client(current())
    _print_outcome(client, approval_of(client.post(f"{PATH}/{segment(approval)}/cancel", {}).data))


def _print_outcome(client: Client, approval: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(approval)
        return
    done = approval.get("execution_status")
    say(f"the request is {clean(approval.get('status'))}" + (f"; what was approved: {clean(done)}" if done not in (None, "none") else ""))
    migration = (approval.get("resolution") or {}).get("migration_id")
    if migration:
        say(f"the resource moves by the migration {clean(migration)}; `powernode migrations show {clean(migration)}` tells how it stands")


def _print(client: Client, approval: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(approval)
        return
    block((name, value) for name, value in approval.items() if name not in _LONG)
    for name in ("plan", "params_redacted", "resolution"):
        if approval.get(name):
            say()
            say(f"{name}: {clean(json.dumps(approval[name]))}")
    decisions = [decision for step in approval.get("steps") or [] for decision in step.get("decisions") or []]
    if decisions:
        say()
        table(
            ("by", "decision", "comment", "at"),
            [(each.get("by"), each.get("decision"), each.get("comment"), each.get("at")) for each in decisions],
            empty="",
        )
