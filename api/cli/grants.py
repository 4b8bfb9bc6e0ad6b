"""`powernode grants`: what peers may use, why a call is refused, and what must stay so.

Lives here: the commands of the issuer's side. Must not live here: grants that others gave us.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from actors.grant.lifecycle import STATES
from api.cli.application import connected, current
from api.cli.client import Client, segment
from api.cli.confirming import YES, confirm
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.option_types import DurationType, several
from api.cli.output import ago, block, emit_json, listing, note, say, table
from api.cli.peer_names import peer_path
from api.cli.peers import resolved
from api.cli.text import clean
from api.cli.warning_words import warn

grants = LazyGroup(
    "grants",
    help="Allow peers to use resources. PEER is an id, the beginning of one, a URL or a host; GRANT is an id or the beginning of one.",
    lazy={
        "check": ("api.cli.received_grants:check", "Ask a peer what a grant that it gave us is good for."),
        "explain": ("api.cli.grants:explain", "Say why a call of a peer is served or refused."),
        "forget": ("api.cli.received_grants:forget", "Destroy the bearer of a grant that a peer gave us."),
        "issue": ("api.cli.grants:issue", "Allow a peer to use resources of a kind; prints the bearer once."),
        "list": ("api.cli.grants:list_", "List the grants of a peer."),
        "narrow": ("api.cli.grants:narrow", "Allow less."),
        "receive": ("api.cli.received_grants:receive", "Keep the bearer of a grant that a peer gave us."),
        "received": ("api.cli.received_grants:received", "List the grants that a peer gave us."),
        "review": ("api.cli.grants:review", "Review all grants, or note that one has been looked at."),
        "revoke": ("api.cli.grants:revoke", "End a grant for good."),
        "rotate": ("api.cli.grants:rotate", "Mint a new bearer for a grant; prints it once."),
        "show": ("api.cli.grants:show", "Show one grant."),
        "test": ("api.cli.grants:test", "Judge the grant tests of a peer."),
        "tests": ("api.cli.grants:tests", "Show or set what must stay allowed or refused."),
    },
)

AXES: Final = {"instance": "node_instance_ids", "network": "sdwan_network_ids", "source": "source_cidrs"}
TEST_FILE_BYTES_MAX: Final = 60_000


def _axis_options(function: Any) -> Any:
    for option, what in (
        ("--source", "an address range from which calls may come"),
        ("--network", "an overlay network through which calls may come"),
        ("--instance", "an instance of the peer from which calls may come"),
    ):
        function = click.option(option, multiple=True, metavar="VALUE", help=f"Only {what}; may be repeated.")(function)
    return function


def _axes(instance: tuple[str, ...], network: tuple[str, ...], source: tuple[str, ...]) -> dict[str, list[str]]:
    given = {"instance": instance, "network": network, "source": source}
    return {AXES[name]: list(values) for name, values in given.items() if values}


def _grant_path(client: Client, peer_id: str, grant: str, *rest: str) -> str:
    """The path of a grant that is named by its id or the beginning of it.

    Raises:
        Failure: none, or more than one, begins so.
    """
    if len(grant) < 36:
        found = [row["id"] for row in client.pages(peer_path(peer_id, "grants"), {"state": "all"}) if str(row.get("id")).startswith(grant)]
        if len(found) != 1:
            many = "more than one grant begins" if found else "no grant begins"
            raise Failure("not_found", f"{many} with {clean(grant)}; `powernode grants list PEER --state all` shows them", Exit.NOT_FOUND)
        grant = str(found[0])
    return "/".join((peer_path(peer_id, "grants"), segment(grant), *rest))


@click.command("list", cls=Command)
@click.argument("peer")
@several("--state", help="Only grants of these states", choices=(*STATES, "all"))
@click.option("--kind", metavar="KIND", help="Only grants on resources of this kind.")
@connected
def list_(peer: str, state: str | None, kind: str | None) -> None:
    """List the grants of a peer, newest first; archived ones only when asked for."""
    client, peer_id = resolved(peer)
    query = {name: value for name, value in (("state", state), ("resource_kind", kind)) if value is not None}
    rows = client.pages(peer_path(peer_id, "grants"), query)
    listing(
        client.application,
        rows,
        ("id", "kind", "scopes", "for", "state", "effective", "used", "expires"),
        lambda row, now: (
            row.get("id"),
            row.get("resource_kind"),
            ",".join(row.get("permission_scopes") or ()),
            row.get("remote_subject"),
            row.get("state"),
            "yes" if row.get("effective") else "no",
            ago(row.get("last_used_at"), now),
            row.get("expires_at"),
        ),
        empty="no grants; `powernode grants issue PEER KIND --subject WHO` makes one",
    )


@click.command(cls=Command)
@click.argument("peer")
@click.argument("grant")
@connected
def show(peer: str, grant: str) -> None:
    """Show one grant."""
    client, peer_id = resolved(peer)
    _print(client, client.get(_grant_path(client, peer_id, grant)).data["grant"])


@click.command(cls=Command)
@click.argument("peer")
@click.argument("kind")
@click.option("--subject", required=True, metavar="WHO", help="Who over there it is for; a label in both audit trails.")
@click.option("--id", "resource_id", metavar="ID", help="One resource; every resource of the kind if not given.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="read (the default), write, migrate, admin; may be repeated.")
@_axis_options
@click.option("--ttl", type=DurationType(), metavar="TIME", help="Lifetime, from 1h to 365d.  [default: 30d]")
@click.option("--label", metavar="TEXT", help="A note of your own.")
@click.option("--deliver", is_flag=True, help="Hand the bearer to the peer over its connection instead of printing it.")
@click.option("--replace", is_flag=True, help="Revoke the grant in force that covers the same, in the same write.")
@click.option("--bare-token", is_flag=True, help="A bearer without a secret, good over the peer's mutual TLS only.")
@click.option("--force", is_flag=True, help="Also if a grant test breaks.")
@connected
def issue(peer: str, kind: str, subject: str, resource_id: str | None, scopes: tuple[str, ...], ttl: float | None, **options: Any) -> None:
    """Allow a peer to use resources of a kind.

    Standard output holds the bearer alone, once. Hand it to the other side's operator, who keeps it with `powernode grants receive`.
    """
    client, peer_id = resolved(peer)
    body: dict[str, Any] = {"remote_subject": subject, "resource_kind": kind}
    body |= _axes(options["instance"], options["network"], options["source"])
    body |= {name: options[name] for name in ("deliver", "replace", "bare_token", "force", "label") if options[name]}
    if resource_id is not None:
        body["resource_id"] = resource_id
    if scopes:
        body["permission_scopes"] = list(scopes)
    if ttl is not None:
        body |= _lifetime(ttl)
    _print_bearer(client, client.post(peer_path(peer_id, "grants"), body).data)


@click.command(cls=Command)
@click.argument("peer")
@connected
def entrust(peer: str) -> None:
    """Give PEER, our parent, the grant to operate this platform anew, in place of the one that it has.

    Only at a managed child. The platforms hand the bearer over by themselves; should that fail, it is printed once, for the parent's
    operator to keep with `powernode grants receive`.
    """
    client, peer_id = resolved(peer)
    _print_bearer(client, client.post(peer_path(peer_id, "entrust")).data)


def _lifetime(ttl: float) -> dict[str, int]:
    """Whole days as days, anything else as seconds: the two have other bounds."""
    days, rest = divmod(int(ttl), 86_400)
    return {"ttl_days": days} if days >= 7 and rest == 0 else {"ttl_seconds": int(ttl)}


@click.command(cls=Command)
@click.argument("peer")
@click.argument("grant")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="The scopes that stay; may be repeated.")
@_axis_options
@click.option("--expires-at", "--expires", "expires", metavar="TIME", help="An earlier end, ISO-8601 with a zone.")
@click.option("--label", metavar="TEXT", help="Another note.")
@click.option("--force", is_flag=True, help="Also if a grant test breaks.")
@connected
def narrow(peer: str, grant: str, scopes: tuple[str, ...], expires: str | None, **options: Any) -> None:
    """Allow less: fewer scopes, fewer values on an axis, an earlier end. To allow more, issue another grant."""
    client, peer_id = resolved(peer)
    body: dict[str, Any] = _axes(options["instance"], options["network"], options["source"])
    if scopes:
        body["permission_scopes"] = list(scopes)
    body |= {name: value for name, value in (("expires_at", expires), ("label", options["label"])) if value is not None}
    if not body:
        raise click.UsageError("say what to narrow: --scope, --instance, --network, --source, --expires-at or --label")
    if options["force"]:
        body["force"] = True
    _print(client, client.patch(_grant_path(client, peer_id, grant), body).data["grant"])


@click.command(cls=Command)
@click.argument("peer")
@click.argument("grant")
@click.option("--reason", metavar="TEXT", help="Kept with the grant and in the audit trail.")
@click.option("--immediate", is_flag=True, help="No grace for a migration under way.")
@click.option("--force", is_flag=True, help="Also if a grant test breaks.")
@YES
@connected
def revoke(peer: str, grant: str, reason: str | None, immediate: bool, force: bool, yes: bool) -> None:
    """End a grant for good. Calls that come after it are refused."""
    client, peer_id = resolved(peer)
    path = _grant_path(client, peer_id, grant, "revoke")
    confirm(client, f"End the grant {clean(grant)} for good?", yes=yes)
    body = {name: value for name, value in (("reason", reason), ("immediate", immediate), ("force", force)) if value}
    _print(client, client.post(path, body).data["grant"])


@click.command(cls=Command)
@click.argument("peer")
@click.argument("grant")
@click.option("--overlap", type=DurationType(), metavar="TIME", help="How long the former bearer stays good, up to a day.  [default: 0s]")
@connected
def rotate(peer: str, grant: str, overlap: float | None) -> None:
    """Mint a new bearer for a grant. Standard output holds it alone, once."""
    client, peer_id = resolved(peer)
    body = {} if overlap is None else {"overlap_seconds": int(overlap)}
    _print_bearer(client, client.post(_grant_path(client, peer_id, grant, "rotate_token"), body).data)


@click.command(cls=Command)
@click.argument("peer", required=False)
@click.argument("grant", required=False)
@connected
def review(peer: str | None, grant: str | None) -> None:
    """Review all grants: what ends soon, is overdue, reaches far, is unused or can never match. It happens by itself every week.

    With PEER and GRANT: note that this grant has been looked at and is right.
    """
    if peer is not None and grant is not None:
        client, peer_id = resolved(peer)
        _print(client, client.post(_grant_path(client, peer_id, grant, "review"), {}).data["grant"])
        return
    if peer is not None:
        raise click.UsageError("name a grant of the peer too, or neither")
    client = Client(current())
    told = client.post("/platform/grants/review", {}).data
    if client.application.as_json:
        emit_json(told)
        return
    rows = [
        (each.get("severity"), each.get("category"), entry.get("federation_peer_id"), entry.get("grant_id"), entry.get("resource_kind"))
        for each in told.get("categories") or []
        for entry in each.get("entries") or []
    ]
    table(("severity", "category", "peer", "grant", "kind"), rows, empty="nothing needs a second look")


# --- why --------------------------------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("peer", required=False)
@click.option("--request", "request_id", metavar="ID", help="A past call of the peer, by its correlation id.")
@click.option("--kind", metavar="KIND", help="What is asked for.")
@click.option("--id", "resource_id", metavar="ID", help="Which one; the list if not given.")
@click.option("--scope", metavar="SCOPE", help="What for.  [default: read]")
@click.option("--subject", metavar="WHO", help="Who over there.")
@click.option("--instance", metavar="ID", help="From which of its instances.")
@click.option("--network", metavar="ID", help="Through which overlay network; a public call if not given.")
@click.option("--source", metavar="ADDRESS", help="From which address.")
@connected
def explain(peer: str | None, request_id: str | None, **options: str | None) -> None:
    """Say why a call is served or refused: each step of the gate with its verdict, and the smallest change that would let it pass.

    Of a past call, or of a hypothetical one; without PEER, of a platform that is no peer yet. Exit 1 if the call is refused.
    """
    names = {"kind": "resource_kind", "instance": "instance_id", "network": "network_id", "source": "source_address"}
    body = {names.get(name, name): value for name, value in options.items() if value is not None}
    if request_id is not None:
        body = {"request_id": request_id}
    elif "resource_kind" not in body:
        raise click.UsageError("say which call: --request ID of a past one, or --kind KIND of a hypothetical one")
    if peer is None:
        if request_id is not None:
            raise click.UsageError("a past call belongs to a peer: name it")
        client = Client(current())
        told = client.post("/platform/grants/explain", body).data
    else:
        client, peer_id = resolved(peer)
        told = client.post(f"{peer_path(peer_id, 'grants')}/explain", body).data
    if client.application.as_json:
        emit_json(told)
    else:
        _print_explanation(told)
    if not told.get("allowed"):
        raise click.exceptions.Exit(Exit.FAILURE)


EDIT_WORDS: Final[Mapping[str, str]] = {
    "resume_admission": "pair with it (`powernode peers invite`), or end what keeps the peer out (`powernode peers show PEER`)",
    "issue_grant": "`powernode grants issue`, for this subject if one is named, else for any",
    "present_bearer": "the caller presents the bearer of this grant; if it is lost, `powernode grants rotate`",
    "widen_kind": "a grant is never widened: `powernode grants issue` another one",
    "widen_resource": "a grant is never widened: `powernode grants issue` another one",
    "add_scope": "a grant is never widened: `powernode grants issue --replace`",
    "send_subject": "the caller names this subject, or none",
    "widen_axis": "a grant is never widened: `powernode grants issue --replace`",
    "activate_bridge": "`powernode bridges activate`, after `powernode bridges create` where there is none",
    "allow_public_calls": "`powernode peers update PEER --not-overlay-only`",
    "add_network": "this platform holds no such network: name another one, or add it with this id (`powernode resources import`)",
}
"""How an operator makes each change that the explainer can suggest."""


def _print_explanation(told: Mapping[str, Any]) -> None:
    table(
        ("step", "", "verdict", "code"),
        [(step.get("number"), step.get("step"), step.get("verdict"), step.get("code")) for step in told.get("steps") or ()],
        empty="no steps",
    )
    if told.get("allowed"):
        say(f"served, under grant {clean(told.get('grant_id'))}")
        return
    say(f"refused: {clean(told.get('code'))}")
    say("the smallest change that would let it pass:")
    for edit in told.get("change") or ():
        facts = {name: value for name, value in edit.items() if name not in ("edit", "who")}
        told_facts = f"  {clean(msgspec.json.encode(facts).decode())}" if facts else ""
        say(f"  {clean(edit.get('edit'))} ({clean(edit.get('who'))}){told_facts}")
        if words := EDIT_WORDS.get(str(edit.get("edit"))):
            say(f"    {words}")


# --- grant tests ------------------------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("peer", required=False)
@click.option(
    "--planned", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE", help="Grants and tests, for no peer yet."
)
@connected
def test(peer: str | None, planned: Path | None) -> None:
    """Judge the grant tests of a peer, as of now; exit 1 if one fails.

    With --planned: judge the tests of a file over the grants in it, for a platform that is no peer yet. The file is TOML or JSON with
    `grants`, each as `grants issue` would make it, and `tests`.
    """
    if (peer is None) == (planned is None):
        raise click.UsageError("name a PEER, or a file with --planned")
    if planned is not None:
        client = Client(current())
        told = test_planned(client, planned)
    else:
        client, peer_id = resolved(str(peer))
        told = client.post(peer_path(peer_id, "grant_tests", "run"), {}).data
    if client.application.as_json:
        emit_json(told)
    else:
        print_outcomes(told)
    if not told.get("passed"):
        raise click.exceptions.Exit(Exit.FAILURE)


def test_planned(client: Client, file: Path) -> dict[str, Any]:
    """What the tests of a file say of the grants in it.

    Raises:
        Failure: it cannot be read, or the daemon refuses it.
    """
    told = client.post("/platform/grants/test", _test_file(file)).data
    return told if isinstance(told, dict) else {}


def print_outcomes(told: Mapping[str, Any]) -> None:
    """Each test with what it wants and what it gets."""
    table(
        ("test", "expected", "is", ""),
        [
            (each.get("name"), _word(each.get("expected")), _word(each.get("allowed")), "passed" if each.get("passed") else "FAILED")
            for each in told.get("outcomes") or ()
        ],
        empty="no grant tests; `powernode grants tests PEER --set FILE` sets them",
    )


def _word(allowed: Any) -> str:
    return "allowed" if allowed else "refused"


@click.command(cls=Command)
@click.argument("peer")
@click.option("--set", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE", help="TOML or JSON.")
@connected
def tests(peer: str, file: Path | None) -> None:
    """Show what must stay allowed or refused for a peer, or set it.

    A file holds all tests, as TOML `[[tests]]` tables or as JSON `{"tests": [...]}`, with the keys name, allowed, resource_kind, and as far
    as the call says so resource_id, scope, subject, instance_id, network_id, source_address. A later write that breaks a test which holds
    is refused.
    """
    client, peer_id = resolved(peer)
    path = peer_path(peer_id, "grant_tests")
    told = client.get(path).data if file is None else client.post(path, _test_file(file)).data
    if client.application.as_json:
        emit_json(told)
        return
    table(
        ("name", "must be", "kind", "id", "scope", "from"),
        [
            (
                each.get("name"), _word(each.get("allowed")), each.get("resource_kind"), each.get("resource_id"), each.get("scope"),
                each.get("source_address") or each.get("network_id") or each.get("instance_id"),
            )
            for each in told.get("tests") or ()
        ],
        empty="no grant tests",
    )  # fmt: skip


def _test_file(file: Path) -> dict[str, Any]:
    """The tests in a file.

    Raises:
        Failure: it cannot be read.
    """
    try:
        raw = file.read_bytes()
        if len(raw) > TEST_FILE_BYTES_MAX:
            raise ValueError(f"has more than {TEST_FILE_BYTES_MAX} bytes")
        read = msgspec.json.decode(raw) if file.suffix == ".json" else tomllib.loads(raw.decode())
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise Failure("unreadable_file", f"{file}: {error}", Exit.USAGE) from error
    if not isinstance(read, dict):
        raise Failure("unreadable_file", f"{file}: must hold `tests`", Exit.USAGE)
    return read


# --- printing ---------------------------------------------------------------------------------------------------------


def _print(client: Client, grant: Mapping[str, Any]) -> None:
    if client.application.as_json:
        emit_json(dict(grant))
        return
    block(
        (name, value if not isinstance(value, list) else ", ".join(map(str, value)))
        for name, value in grant.items()
        if value not in (None, {})
    )


def _print_bearer(client: Client, data: Mapping[str, Any]) -> None:
    if client.application.as_json:
        emit_json(dict(data))
        return
    grant = data.get("grant") or {}
    for warning in data.get("warnings") or ():
        warn(warning)
    note(f"grant {clean(grant.get('id'))} until {clean(grant.get('expires_at'))}")
    bearer = data.get("bearer_token")
    if bearer is not None:
        say(str(bearer))
        note("this bearer is shown once")
    elif data.get("delivered"):
        note("the bearer was handed to the peer")
