"""`powernode resources import`: a file of records into the catalogue, everything checked before anything is written.

Lives here: reading the file, checking it with the very functions that the daemon uses, and sending it in batches. Must not live here:
what a kind consists of.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import click

from api.cli.application import Application, connected, current
from api.cli.client import Client
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command
from api.cli.output import emit_json, note, say, table
from api.cli.resources import BASE

FILE_BYTES_MAX: Final = 256 * 1_048_576
BATCH_BYTES: Final = 900_000
PROBLEMS_SHOWN: Final = 50
_KEYS: Final = frozenset({"kind", "id", "attributes"})
_TARGET: Final = re.compile(r"resources\[(\d+)\]\.attributes\.([a-z_]+)(?:\[(\d+)\])?")


@attrs.frozen
class Entry:
    """One record of the file: where it stood, its canonical kind, what is sent, and its size there in bytes."""

    place: int
    kind: str
    body: Mapping[str, Any]
    size: int


@attrs.define
class Plan:
    """A file that has been read: its records in an order in which each finds what it refers to, and what is wrong."""

    entries: list[Entry] = attrs.field(factory=list)
    problems: list[dict[str, str]] = attrs.field(factory=list)
    keys: set[tuple[str, str]] = attrs.field(factory=set)
    ids: set[str] = attrs.field(factory=set)


@click.command("import", cls=Command)
@click.argument("file")
@click.option("--dry-run", is_flag=True, help="Check everything and write nothing.")
@click.option("--format", "form", type=click.Choice(["json", "toml"]), help="How the file is written.  [default: by its ending, else JSON]")
@connected
@click.pass_context
def import_(ctx: click.Context, file: str, dry_run: bool, form: str | None) -> None:
    """Create and replace resources from a file; `-` reads standard input.

    Records are matched by id, else by natural key. What is there already as the file has it stays untouched, so a repeated import
    changes nothing. Every problem of the file is told before anything is written.
    """
    plan = read_plan(parsed(read_file(file), form or ("toml" if file.endswith(".toml") else "json")))
    client = Client(current())
    batches = list(in_batches(plan.entries))
    if not plan.problems:
        plan.problems += client.application.run(_checked, client, plan, batches)
    if plan.problems:
        _tell_problems(client.application, plan)
        ctx.exit(Exit.FAILURE)
    counts = client.application.run(_written, client, batches) if not dry_run else {}
    if client.application.as_json:
        emit_json({"records": len(plan.entries), "dry_run": dry_run, "problems": [], **counts})
    elif dry_run:
        say(f"{len(plan.entries)} records are good; nothing was written")
    else:
        say(", ".join(f"{counts[name]} {name}" for name in ("created", "updated", "unchanged")))


# --- the file -------------------------------------------------------------------------------------------------------


def read_file(name: str) -> bytes:
    """The content of the file.

    Raises:
        Failure: it cannot be read or is too large.
    """
    try:
        if name != "-" and Path(name).stat().st_size > FILE_BYTES_MAX:
            raise Failure("file_too_large", f"{name} is larger than {FILE_BYTES_MAX} bytes", Exit.USAGE)
        with click.open_file(name, "rb") as stream:
            content: bytes = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Failure("file_unreadable", f"{name} cannot be read: {error.strerror}", Exit.USAGE) from None
    if len(content) > FILE_BYTES_MAX:
        raise Failure("file_too_large", f"the input is larger than {FILE_BYTES_MAX} bytes", Exit.USAGE)
    return content


def parsed(content: bytes, form: str) -> list[Any]:
    """The records of the file as it has them.

    Raises:
        Failure: it is not of that form, or holds no list of records.
    """
    try:
        value = tomllib.loads(content.decode()) if form == "toml" else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Failure("file_malformed", f"the file is no {form.upper()}: {error}", Exit.USAGE) from None
    found = value.get("resources") if isinstance(value, dict) else value
    if not isinstance(found, list) or not found:
        raise Failure("file_malformed", "the file must hold a list `resources` with at least one record", Exit.USAGE)
    return found


def read_plan(records: Sequence[Any]) -> Plan:
    """Check every record by itself, and that no two of the file are one."""
    from actors.resource.plan import ORDER

    plan = Plan()
    for place, record in enumerate(records):
        _read_record(plan, place, record)
    plan.entries.sort(key=lambda entry: (ORDER[entry.kind], entry.place))
    return plan


def _read_record(plan: Plan, place: int, record: Any) -> None:
    from actors.inventory.drafts import read_attributes
    from actors.inventory.registry import find
    from actors.problems import Problem
    from runtime.ids import is_uuid

    path = f"resources[{place}]"

    def wrong(field: str, code: str, message: str) -> None:
        plan.problems.append({"field": field, "code": code, "message": message})

    if not isinstance(record, dict) or not isinstance(record.get("attributes", {}), dict):
        wrong(path, "invalid_parameter", "must be an object with kind and attributes")
        return
    for key in record.keys() - _KEYS:
        wrong(f"{path}.{key}", "unknown_argument", "is not known here; attributes stand under `attributes`")
    kind = find(str(record.get("kind")))
    if kind is None or not kind.catalogued:
        wrong(f"{path}.kind", "unknown_resource_kind", "is no kind that the catalogue keeps; see `powernode resources kinds`")
        return
    id = record.get("id")
    if id is not None and not is_uuid(id):
        wrong(f"{path}.id", "id_invalid", "must be a UUID in lower case")
    problems: list[Problem] = []
    attributes = read_attributes(kind, record.get("attributes", {}), problems, f"{path}.attributes")
    plan.problems += [problem.to_json() for problem in problems]
    if attributes is None:
        return
    key = kind.natural_key_of(attributes)
    if (key is not None and (kind.kind, key) in plan.keys) or id in plan.ids:
        wrong(path, "duplicate_in_batch", "another record of the file has the same id or natural key")
    if key is not None:
        plan.keys.add((kind.kind, key))
    if id is not None:
        plan.ids.add(id)
    body = {"kind": kind.kind, "attributes": attributes, **({"id": id} if id is not None else {})}
    plan.entries.append(Entry(place, kind.kind, body, len(json.dumps(body).encode())))


def in_batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Runs of records that fit into one request."""
    from actors.resource.limits import BATCH_RECORDS_MAX

    batch: list[Entry] = []
    size = 0
    for entry in entries:
        if batch and (len(batch) == BATCH_RECORDS_MAX or size + entry.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size + 2
    if batch:
        yield batch


# --- the daemon -----------------------------------------------------------------------------------------------------


async def _checked(client: Client, plan: Plan, batches: Sequence[Sequence[Entry]]) -> list[dict[str, str]]:
    """What the daemon finds wrong, beyond targets that the file itself brings."""
    found: list[dict[str, str]] = []
    with _progress(client.application, "checking", len(plan.entries)) as advance:
        for batch in batches:
            body = {"resources": [entry.body for entry in batch], "dry_run": True}
            data = (await client.request("POST", BASE, body)).data
            for problem in data.get("problems") or []:
                if not _brought(plan, batch, problem):
                    found.append(_placed(batch, problem))
            advance(len(batch))
    return found


def _brought(plan: Plan, batch: Sequence[Entry], problem: Mapping[str, str]) -> bool:
    """Whether a missing target stands in the file and will be there when it is needed."""
    from actors.inventory.registry import REGISTRY

    match = _TARGET.fullmatch(str(problem.get("field")))
    if problem.get("code") != "link_target_missing" or match is None:
        return False
    entry = batch[int(match.group(1))]
    value: Any = entry.body["attributes"][match.group(2)]
    if match.group(3) is not None:
        value = value[int(match.group(3))]
    kind = next(each.kind for each in REGISTRY.kinds[entry.kind].references if each.path == match.group(2))
    if isinstance(value, str):
        return value in plan.ids
    key = REGISTRY.kinds[kind].natural_key_of(value)
    return key is not None and (kind, key) in plan.keys


def _placed(batch: Sequence[Entry], problem: Mapping[str, Any]) -> dict[str, str]:
    """The problem at its place in the file instead of the batch."""
    field = re.sub(r"^resources\[(\d+)\]", lambda found: f"resources[{batch[int(found.group(1))].place}]", str(problem.get("field")))
    return {"field": field, "code": str(problem.get("code")), "message": str(problem.get("message"))}


async def _written(client: Client, batches: Sequence[Sequence[Entry]]) -> dict[str, int]:
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    total = sum(len(batch) for batch in batches)
    with _progress(client.application, "writing", total) as advance:
        for place, batch in enumerate(batches):
            try:
                data = (await client.request("POST", BASE, {"resources": [entry.body for entry in batch]})).data
            except Failure:
                if place:
                    note(f"{sum(len(done) for done in batches[:place])} of {total} records were written; import the file again to go on")
                raise
            for name in counts:
                counts[name] += int(data.get(name) or 0)
            advance(len(batch))
    return counts


def _tell_problems(application: Application, plan: Plan) -> None:
    if application.as_json:
        emit_json({"records": len(plan.entries), "problems": plan.problems})
        return
    shown = [[problem["field"], problem["code"], problem["message"]] for problem in plan.problems[:PROBLEMS_SHOWN]]
    table(("where", "code", "problem"), shown, empty="")
    if len(plan.problems) > PROBLEMS_SHOWN:
        note(f"and {len(plan.problems) - PROBLEMS_SHOWN} more")
    note("nothing was written")


@contextmanager
def _progress(application: Application, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere; yields what is told how many records are done."""
    import sys

    if application.as_json or not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
