"""`powernode events`: what happens, as it happens.

Lives here: the command and its lines. Must not live here: connecting (see `live`).
"""

from __future__ import annotations

import fnmatch

import click

from api.cli.application import connected, current
from api.cli.client import Client
from api.cli.event_stream import Frame
from api.cli.lazy import Command, LazyGroup
from api.cli.live import follow
from api.cli.output import cell, emit_json, note, say
from api.cli.text import clean

events = LazyGroup(
    "events", help="Follow what happens.", lazy={"watch": ("api.cli.events:watch", "Print events as they happen, until interrupted.")}
)


class _Enough(Exception):
    """As many events as were asked for have been printed."""


@click.command(cls=Command)
@click.option("--cursor", type=click.IntRange(min=0), metavar="N", help="Begin behind event N; 0 is the beginning.  [default: now]")
@click.option("--kind", "kinds", multiple=True, metavar="GLOB", help="Only these kinds, as in 'federation.peer.*'; may be repeated.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Stop after so many.")
@connected
def watch(cursor: int | None, kinds: tuple[str, ...], count: int | None) -> None:
    """Print events as they happen, until interrupted.

    A lost connection is made again, and goes on behind the last event seen: none is missed, none comes twice.
    """
    client = Client(current())
    printed = 0

    def on_frame(frame: Frame) -> None:
        nonlocal printed
        if kinds and not any(fnmatch.fnmatchcase(str(frame.get("kind")), glob) for glob in kinds):
            return
        _print(frame, as_json=client.application.as_json)
        printed += 1
        if printed == count:
            raise _Enough

    def on_loss(reason: str, delay_s: float) -> None:
        note(f"connection lost ({clean(reason)}); connecting again in {delay_s:g} s")

    try:
        client.application.run(follow, client, cursor, on_frame, on_loss)
    except _Enough:
        return


def _print(frame: Frame, *, as_json: bool) -> None:
    if as_json:
        emit_json(frame)
        return
    payload = frame.get("payload")
    said = {name: value for name, value in payload.items() if name != "federation_peer_id"} if isinstance(payload, dict) else payload
    peer = payload.get("federation_peer_id") if isinstance(payload, dict) else None
    words = (frame.get("cursor"), frame.get("at"), f"{clean(frame.get('severity')):<8}", frame.get("kind"), peer, cell(said))
    say("  ".join(clean(word) if word is not None else "-" for word in words))
