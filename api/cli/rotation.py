"""`powernode trust rotate`, `status` and `finish`: the change of this platform's own root.

Lives here: these commands. Must not live here: the anchors of one peer (see `anchors`).
"""

from __future__ import annotations

from typing import Any

import click

from actors.limits import OVERLAP_DAYS_MAX, OVERLAP_DAYS_MIN
from api.cli.application import connected, current
from api.cli.client import Client
from api.cli.confirming import YES, confirm
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command
from api.cli.option_types import DaysType
from api.cli.output import block, emit_json, note, say
from api.cli.peer_names import find_peer_id
from api.cli.rehearsal import drill
from api.cli.text import clean, counted

_DAYS = DaysType(OVERLAP_DAYS_MIN, OVERLAP_DAYS_MAX)

_JSON_ONLY = ("peers", "counts", "ca_pem", "next_ca_pem", "overlap_days")
"""What a reader is not shown, or otherwise; `overlap_days` says nothing of the rotation under way, whose window has `begins` and `ends`."""


@click.command(cls=Command)
@click.option("--overlap", type=_DAYS, metavar="TIME",
              help="How long both roots count, as in 7d; without it as federation.anchor_overlap says.")  # fmt: skip
@click.option("--force", is_flag=True, help="After a compromise: the present root ends at once, and each peer must approve the new one.")
@click.option("--keep-tokens", is_flag=True, help="With --force: open tokens stay, though a thief can answer them in your name.")
@click.option("--reason", metavar="TEXT", help="Kept in the audit trail; demanded with --force.")
@click.option("--drill", "drilled", is_flag=True, help="Rehearse it in the simulator with the present peers; nothing is changed.")
@click.option("--seeds", type=click.IntRange(1, 1_000), default=3, show_default=True, metavar="K", help="With --drill: how often.")
@YES
@connected
def rotate(overlap: int | None, force: bool, keep_tokens: bool, reason: str | None, drilled: bool, seeds: int, yes: bool) -> None:
    """Replace the root of this platform's own CA, without outage.

    Peers are shown the next root with a proof by the present one, and accept both for the overlap. With --force the present key is taken
    for stolen: its root ends at once, its word proves nothing, open tokens are burnt (the answer says how many), and the operators of
    every peer must compare the new fingerprint and approve it. This command only begins the rotation, which is done once
    `powernode trust status` ends with 0: all peers have followed, or were given up. With --force it ends with 1 itself until then, as
    nothing is safe before. --drill shows beforehand who would be left behind, and why.
    """
    if drilled and force:
        raise click.UsageError("a rotation by force has no overlap that could be rehearsed: every peer must approve the new root")
    if drilled:
        drill(Client(current()), overlap, seeds)
        return
    if force and not reason:
        raise click.UsageError("--force needs --reason")
    if keep_tokens and not force:
        raise click.UsageError("--keep-tokens needs --force: without it tokens last as long as the overlap")
    client = Client(current())
    question = "End the present root at once, so that every peer must approve the new one?" if force else "Begin to replace the root?"
    confirm(client, question, yes=yes)
    body: dict[str, Any] = ({"force": True} if force else {}) | ({"reason": reason} if reason else {})
    body |= {"overlap_days": overlap} if overlap is not None else {}
    body |= {"keep_tokens": True} if keep_tokens else {}
    show(client, client.post("/platform/trust/rotate", body).data, begun=not force)


@click.command(cls=Command)
@connected
def status() -> None:
    """Show how far the rotation of the root has come. Exit code 1 until it is done: a live peer has not followed and nobody gave it up, or
    the former root still counts."""
    client = Client(current())
    show(client, client.get("/platform/trust/rotation").data)


@click.command(cls=Command)
@click.option("--give-up", "give_up", multiple=True, metavar="PEER", help="A peer that nobody waits for; may be given more than once.")
@click.option("--force", is_flag=True, help="Give up every peer that has not followed, and open tokens.")
@YES
@connected
def finish(give_up: tuple[str, ...], force: bool, yes: bool) -> None:
    """End the overlap of a rotation now, or give peers up that did not follow.

    Refused while a live peer has not followed, unless each of them is named or --force gives up all of them.
    """
    client = Client(current())
    confirm(client, "Let the former root end now?" if not give_up else f"Wait no longer for {counted(len(give_up), 'peer')}?", yes=yes)
    body: dict[str, Any] = {"give_up": [client.application.run(find_peer_id, client, peer) for peer in give_up]} if give_up else {}
    show(client, client.post("/platform/trust/finish", body | ({"force": True} if force else {})).data)


def _headline(found: dict[str, Any]) -> str:
    if not found.get("complete"):
        return "a rotation is under way or peers are left behind"
    return "no rotation is under way" if found.get("completed_at") is None else "the last rotation is complete"


def show(client: Client, data: dict[str, Any], *, begun: bool = False) -> None:
    """Print how a rotation stands.

    Args:
        begun: it has just been begun as it should, so that nobody can have followed yet.

    Raises:
        Failure: a live peer has been left behind so far.
    """
    found = data.get("rotation", {})
    if client.application.as_json:
        emit_json(found)
    else:
        say(_headline(found))
        block((name, value) for name, value in found.items() if name not in _JSON_ONLY)
        for peer in found.get("peers", ()):
            told = "" if not peer.get("remedy") else f"  {'was told' if peer.get('told') else 'not told yet'}. {clean(peer.get('remedy'))}"
            say(f"  {clean(peer.get('remote_instance_url'))}  {clean(peer.get('progress'))}{told}")
    if not found.get("complete"):
        note("Look again with `powernode trust status`; `powernode trust finish --give-up PEER` gives up a peer that never follows.")
        if begun:
            return
        raise Failure("rotation_incomplete", _left(found), Exit.FAILURE)


def _left(found: dict[str, Any]) -> str:
    """What is still to happen."""
    waiting, tokens = int(found.get("waiting") or 0), int(found.get("open_tokens") or 0)
    if waiting:
        return f"{counted(waiting, 'peer')} {'has' if waiting == 1 else 'have'} not followed yet"
    if tokens:
        pinning = "pins it is" if tokens == 1 else "pin it are"
        return f"every peer has followed; the former root counts until {counted(tokens, 'open token')} that {pinning} used or over"
    return "every peer has followed; the former root ends within a minute or two, or with the accept that is under way"
