"""`powernode migrations`: resources that move, or are copied, to a peer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from api.cli.application import connected, current
from api.cli.approvals import waits
from api.cli.client import Client, segment
from api.cli.confirming import YES, confirm
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.output import ago, block, emit_json, listing, note, say, table
from api.cli.peers import resolved
from api.cli.resources import find_record_id
from api.cli.secrets_input import read_secret
from api.cli.text import clean

PATH = "/platform/migrations"

migrations = LazyGroup(
    "migrations",
    help="Move or copy resources to peers. PEER is an id, the beginning of one, a URL or a host; MIGRATION is an id.",
    lazy={
        "apply": ("api.cli.migrations:apply", "Move or copy what was planned."),
        "cancel": ("api.cli.migrations:cancel", "Give a migration up."),
        "chains": ("api.cli.chains:chains", "Take a resource over several platforms."),
        "list": ("api.cli.migrations:list_", "List migrations from here to peers."),
        "plan": ("api.cli.migrations:plan", "Plan the move or the copy of a resource."),
        "receipt": ("api.cli.migrations:receipt", "Print the signed receipt of a migration that has arrived here."),
        "resolve": ("api.cli.migrations:resolve", "Say where records live when the other side cannot be asked any more."),
        "retry": ("api.cli.migrations:retry", "Try a failed migration again."),
        "set-step": ("api.cli.migrations:set_step", "Decide what happens where a name is taken."),
        "show": ("api.cli.migrations:show", "Show one migration."),
        "validate": ("api.cli.migrations:validate", "Ask the destination again what stands in the way."),
    },
)


def migration_of(data: Any) -> dict[str, Any]:
    """The migration in an answer.

    Raises:
        Failure: there is none.
    """
    migration = data.get("migration") if isinstance(data, dict) else None
    if not isinstance(migration, dict):
        raise Failure("daemon_error", "the answer holds no migration", Exit.FAILURE)
    return migration


def path_of(migration: str, *rest: str) -> str:
    """The path of one migration."""
    return "/".join((PATH, segment(migration), *rest))


@click.command("list", cls=Command)
@click.option("--arrived", is_flag=True, help="Those of peers to here instead.")
@connected
def list_(arrived: bool) -> None:
    """List migrations from here to peers, newest first."""
    client = Client(current())
    rows = client.pages(PATH, {"side": "destination"} if arrived else {})
    none = "no migrations have come here" if arrived else "no migrations; `powernode migrations plan PEER KIND RESOURCE` plans one"
    listing(
        client.application,
        rows,
        ("id", "operation", "kind", "root", "status", "error", "changed"),
        lambda row, now: (
            row.get("id"),
            row.get("operation"),
            row.get("root_resource_kind"),
            row.get("root_resource_id"),
            row.get("status"),
            row.get("error"),
            ago(row.get("updated_at"), now),
        ),
        empty=none,
    )


@click.command(cls=Command)
@click.argument("migration")
@connected
def show(migration: str) -> None:
    """Show one migration, at its source or at its destination."""
    client = Client(current())
    _print(client, migration_of(client.get(path_of(migration)).data))


@click.command(cls=Command)
@click.argument("peer")
@click.argument("kind")
@click.argument("resource")
@click.option("--copy", is_flag=True, help="Make a copy with ids of its own instead of moving.")
@click.option("--dry-run", is_flag=True, help="Only plan; ask nothing of the destination.")
@click.option("--acknowledge-residency", is_flag=True, help="Crossing a boundary is meant.")
@click.option("--override-residency", is_flag=True, help="If our rules refuse it, ask for an exception; waits for approval.")
@click.option("--bearer-file", metavar="FILE", help="Where the bearer of a grant stands, or `-`; else a received one is used.")
@connected
def plan(
    peer: str,
    kind: str,
    resource: str,
    copy: bool,
    dry_run: bool,
    acknowledge_residency: bool,
    override_residency: bool,
    bearer_file: str | None,
) -> None:
    """Plan the move, or the copy, of a resource with all that it owns. Nothing moves before `apply`.

    --override-residency uses a received grant: what waits for approval keeps no bearer.
    """
    if override_residency and bearer_file is not None:
        raise click.UsageError("--override-residency uses a received grant; what waits for approval keeps no bearer")
    client, peer_id = resolved(peer)
    body: dict[str, Any] = {
        "operation": "duplicate" if copy else "migrate",
        "root_resource_kind": kind,
        "root_resource_id": find_record_id(client, kind, resource),
        "destination_peer_id": peer_id,
        "dry_run": dry_run,
        "acknowledge_residency": acknowledge_residency,
        **({"override_residency": True} if override_residency else {}),
    }
    if bearer_file is not None:
        body["bearer"] = read_secret(bearer_file, "bearer").reveal()
    _print_or_tell(client, client.post(PATH, body).data)


@click.command("set-step", cls=Command)
@click.argument("migration")
@click.argument("order", type=click.IntRange(min=0))
@click.argument("policy", type=click.Choice(("fail", "skip_if_exists", "overwrite", "rename_with_suffix")))
@click.option("--yes", is_flag=True, help="Do not ask before records of the destination are overwritten.")
@connected
def set_step(migration: str, order: int, policy: str, yes: bool) -> None:
    """Decide what happens where step ORDER meets a record of the destination; `validate` then asks again."""
    client = Client(current())
    if policy == "overwrite":
        confirm(client, "Overwrite the destination's own record?", yes=yes)
    data = client.patch(path_of(migration, "steps", str(order)), {"conflict_policy": policy}).data
    _print_or_tell(client, data)


@click.command(cls=Command)
@click.argument("migration")
@click.option("--keep/--release", default=None, help="Whether the records live here, or at the other side.")
@click.option("--word", required=True, metavar="TEXT", help="Who of the other side said so, and how. Kept in the audit trail.")
@click.option(
    "--receipt", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE", help="With --release: its receipt."
)
@YES
@connected
def resolve(migration: str, keep: bool | None, word: str, receipt: Path | None, yes: bool) -> None:
    """Say where the records of a migration live, when its peering has ended and nothing else can end it.

    At the source, --keep lets them go on here and --release leaves tombstones. At the destination, --keep makes what has arrived writable
    and --release removes it. Whatever you say, the operators of the other side must say the opposite: otherwise the records have two
    homes, or none. If you can, peer with the same platform again instead; then the receipt settles it. So does --receipt FILE at the
    source, with what `powernode migrations receipt` prints at the destination: it is verified, and nothing rests on a word.
    """
    if keep is None:
        raise click.UsageError("say --keep or --release")
    if keep and receipt is not None:
        raise click.UsageError("a receipt says that the records live at the other side: --release")
    body: dict[str, Any] = {"outcome": "keep" if keep else "release", "word": word}
    if receipt is not None:
        body["receipt"] = _receipt_in(receipt)
    client = Client(current())
    found = migration_of(client.get(path_of(migration)).data)
    where = "here" if keep else "at the other side"
    question = (
        f"The {clean(found.get('operation'))} of {clean(found.get('root_resource_kind'))} {clean(found.get('root_resource_id'))} is "
        f"{clean(found.get('status'))} ({clean(found.get('side'))}). You say that its records live {where}. If the other side says so of "
        "itself, they have two homes; if it says so of you, none. Go on?"
    )
    confirm(client, question, yes=yes)
    _print(client, migration_of(client.post(path_of(migration, "resolve"), body).data))


def _receipt_in(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise Failure("receipt_invalid", f"{file} holds no JSON", Exit.USAGE) from error
    if not isinstance(found, dict):
        raise Failure("receipt_invalid", f"{file} holds no receipt", Exit.USAGE)
    return found


@click.command(cls=Command)
@click.argument("migration")
@connected
def receipt(migration: str) -> None:
    """Print the signed receipt of a migration that has arrived here, for the operators of its source."""
    emit_json(Client(current()).get(path_of(migration, "receipt")).data)


def _act(act: str, summary: str, *, crossing: bool = False) -> click.Command:
    def take(migration: str, acknowledge_residency: bool = False) -> None:
        client = Client(current())
        body = {"acknowledge_residency": True} if acknowledge_residency else {}
        found = migration_of(client.post(path_of(migration, act), body).data)
        if client.application.as_json:
            emit_json(found)
        else:
            say(f"the migration is {clean(found.get('status'))}; `powernode migrations show {clean(found.get('id'))}` tells how it goes on")

    take.__doc__ = summary
    command = connected(take)
    if crossing:
        command = click.option("--acknowledge-residency", is_flag=True, help="Crossing a boundary is meant.")(command)
    command = click.argument("migration")(command)
    return click.command(act, cls=Command)(command)


apply = _act("apply", "Move or copy what was planned; what stands in the way stops it.", crossing=True)
validate = _act("validate", "Plan again, and ask the destination what stands in the way.", crossing=True)
retry = _act("retry", "Try a failed migration again, as a new attempt.", crossing=True)
cancel = _act("cancel", "Give a migration up; possible until everything has been uploaded.")


def _print_or_tell(client: Client, data: Any) -> None:
    """The migration in an answer, or that something waits for approval now."""
    waiting = waits(data)
    if waiting is None:
        _print(client, migration_of(data))
    elif client.application.as_json:
        emit_json(data)
    else:
        say(waiting)


def _print(client: Client, migration: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(migration)
        return
    long = ("steps", "conflict_log", "audit_log", "receipt")
    block((name, value) for name, value in migration.items() if name not in long)
    steps = migration.get("steps") or []
    if steps:
        say()
        table(
            ("order", "kind", "id", "action", "policy"),
            [(step.get("order"), step.get("kind"), step.get("id"), step.get("action"), step.get("conflict_policy")) for step in steps],
            empty="",
        )
    conflicts = migration.get("conflict_log") or []
    if conflicts:
        say()
        table(
            ("step", "kind", "names", "meets", "at"),
            [(each.get("step"), each.get("kind"), _names(each.get("key")), _met(each), each.get("at")) for each in conflicts],
            empty="",
        )
    _hint(migration)


def _names(key: Any) -> str:
    return " ".join(f"{name}={value}" for name, value in key.items()) if isinstance(key, dict) else ""


def _met(entry: dict[str, Any]) -> str:
    return "nothing: it is not there" if entry.get("code") == "link_target_missing" else str(entry.get("conflicting_id") or "")


def _hint(migration: dict[str, Any]) -> None:
    """What can be done next, where the status alone does not tell."""
    id, status, lacks = clean(migration.get("id")), migration.get("status"), migration.get("error") == "link_target_missing"
    if migration.get("side") == "destination":
        return
    if status == "conflict" and lacks:
        note(f"the destination lacks what the plan needs; once its operators have added it: powernode migrations validate {id}")
    elif status == "conflict":
        note(f"decide about each step that meets a record: powernode migrations set-step {id} ORDER POLICY; then validate")
    elif status == "validating" and migration.get("cleared"):
        note(f"nothing stands in the way: powernode migrations apply {id}")
    elif status == "validating":
        note(f"the destination is asked what stands in the way; see what it said: powernode migrations show {id}")
