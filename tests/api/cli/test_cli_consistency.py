"""The command line as a whole: the same thing is written the same way at every command."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest

from api.cli.application import Application
from api.cli.root import cli
from tests.support.operator_api import PEER_ID, OperatorApi, Run, granted, listing


def leaves(command: click.Command, ctx: click.Context, *path: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    for name in command.list_commands(ctx):
        found = command.get_command(ctx, name)
        assert found is not None
        yield from leaves(found, click.Context(found, info_name=name, parent=ctx), *path, name)


COMMANDS = dict(leaves(cli, click.Context(cli, obj=Application())))


def options(name: str) -> dict[str, click.Option]:
    """The options of this name, by command."""
    named = {path: [each for each in command.params if name in each.opts] for path, command in COMMANDS.items()}
    return {path: each for path, found in named.items() for each in found if isinstance(each, click.Option)}


def test_every_command_has_json() -> None:
    assert set(options("--json")) == set(COMMANDS)


WAYS = {
    "--status": "A[,B]",
    "--severity": "A[,B]",
    "--ttl": "TIME",
    "--interval": "TIME",
    "--overlap": "TIME",
    "--timeout": "TIME",
    "--expires-at": "TIME",
    "--reason": "TEXT",
    "--if-match": "ETAG",
    "--limit": "N",
    "--peer": "PEER",
    "--data": "DIR",
    "--config": "FILE",
    "--password-file": "FILE",
}
"""How the value of an option is written, at whatever command it stands."""


@pytest.mark.parametrize("name", WAYS)
def test_the_same_option_takes_the_same_value_everywhere(name: str) -> None:
    found = options(name)
    assert found
    assert {path: option.metavar for path, option in found.items() if option.metavar != WAYS[name]} == {}


def test_no_option_has_its_unit_in_its_name_alone() -> None:
    units = ("-days", "-seconds", "-minutes", "-ms")
    bare = {
        (path, option.opts[0])
        for path, command in COMMANDS.items()
        for option in command.params
        if isinstance(option, click.Option) and option.opts[0].endswith(units) and not option.hidden
    }
    assert bare == {("sim run", "--minutes")}, "that one is the name by which the simulator was asked for"


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (("peers", "list", "--status", "active,degraded"), "active,degraded"),
        (("peers", "list", "--status", "active", "--status", "degraded"), "active,degraded"),
        (("overlay", "list", "--status", "active", "--status", "degraded"), "active,degraded"),
        (("approvals", "list", "--status", "pending,approved"), "pending,approved"),
        (("grants", "list", PEER_ID, "--state", "active,expired"), "active,expired"),
        (("grants", "list", PEER_ID, "--state", "active", "--state", "expired"), "active,expired"),
        (("approvals", "list", "--status", "pending", "--status", "approved"), "pending,approved"),
    ],
)
def test_statuses_are_repeated_or_written_with_commas(api: OperatorApi, run: Run, words: tuple[str, ...], sent: str) -> None:
    api.answers |= {name: listing([]) for name in ("list_peers", "list_approvals", "list_overlay_peers", "list_grants")}
    result = run(*words)
    assert result.exit_code == 0, result.output
    query = api.requests[-1].query
    assert query.get("status", query.get("state")) == sent


def test_a_severity_that_there_is_not_is_refused_here(api: OperatorApi, run: Run) -> None:
    assert run("findings", "list", "--severity", "low,lethal").exit_code == 2
    assert api.requests == []


@pytest.mark.parametrize(("written", "days"), [("7d", 7), ("168h", 7), ("7", 7), ("36h", None), ("0d", None), ("soon", None)])
@pytest.mark.parametrize("name", ["--ttl", "--ttl-days"])
def test_a_term_is_a_time_of_whole_days(api: OperatorApi, run: Run, name: str, written: str, days: int | None) -> None:
    if (name, written) == ("--ttl", "7"):
        # A bare number is one of seconds in `grants issue --ttl` and days here: it is taken only where the name says which.
        days = None
    api.answers["subscribe"] = granted({"subscription": {"id": PEER_ID, "status": "active"}})
    result = run("services", "subscribe", PEER_ID, "dns", "--host", "dns.example.com", name, written, "--json")
    assert (result.exit_code == 2) is (days is None), result.output
    if days is not None:
        assert api.requests[-1].body["ttl_days"] == days


@pytest.mark.parametrize("words", [("sim", "run", "no-file"), ("sim", "run", "--nonsense"), ("peers", "list", "--nonsense"), ("nonsense",)])
def test_what_is_written_wrongly_is_told_in_json_where_json_is_asked_for(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words, "--json")
    assert (result.exit_code, json.loads(result.stderr)["code"]) == (2, "usage")
