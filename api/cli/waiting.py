"""`powernode peers wait`: until a peer reaches a status, or with the reasons why it does not.

Lives here: waiting and explaining. Must not live here: connecting to events (see `live`).

Events wake the loop at once; asking every two seconds is what remains when there is no event stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
import click
import trio

from api.cli.application import connected
from api.cli.client import Client
from api.cli.event_stream import Frame
from api.cli.failures import Exit, Failure
from api.cli.findings import remedy_of, standing
from api.cli.lazy import Command
from api.cli.live import follow
from api.cli.option_types import DurationType
from api.cli.output import emit_json, note, say
from api.cli.peer_names import peer_of, peer_path
from api.cli.peers import resolved
from api.cli.text import clean
from api.durations import approximate

POLL_S: Final = 2.0

REACHED_BY: Final = {
    "accepted": frozenset({"accepted", "enrolled", "active", "degraded"}),
    "enrolled": frozenset({"enrolled", "active", "degraded"}),
    "active": frozenset({"active"}),
    "degraded": frozenset({"degraded"}),
    "suspended": frozenset({"suspended"}),
    "revoked": frozenset({"revoked"}),
}
"""By status asked for: the statuses that show that it was reached. Accepted and enrolled may last a moment only."""


@attrs.frozen
class Outcome:
    """How the wait ended; `peer` is as last seen, `findings` are its open ones if it did not get there."""

    reached: bool
    peer: dict[str, Any]
    waited_s: float
    findings: tuple[dict[str, Any], ...] = ()


async def wait_for(client: Client, peer_id: str, wanted: str, timeout_s: float, on_change: Callable[[dict[str, Any]], None]) -> Outcome:
    """Watch one peer until `wanted` is reached, it can no longer be, or the time is over.

    Raises:
        Failure: the peer is not there, or asking is not allowed. A daemon that is away for a moment is waited for.
    """
    began, reached = trio.current_time(), False
    peer = peer_of((await client.request("GET", peer_path(peer_id))).data)
    on_change(peer)
    failures: list[Failure] = []
    with trio.move_on_after(timeout_s):
        async with trio.open_nursery() as nursery:
            wake, awoken = trio.open_memory_channel[None](1)
            nursery.start_soon(_wake_on_events, client, peer_id, wake)
            while not (reached := peer.get("status") in REACHED_BY[wanted]) and peer.get("status") != "revoked":
                with trio.move_on_after(POLL_S):
                    await awoken.receive()
                try:
                    peer = await _next(client, peer_id, peer, on_change)
                except Failure as failure:
                    failures.append(failure)
                    break
            nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]
    waited_s = trio.current_time() - began
    if reached:
        return Outcome(True, peer, waited_s)
    rows = (await client.request("GET", "/federation/governance", None, {"peer_id": peer_id})).data
    return Outcome(False, peer, waited_s, tuple(standing(rows)))


async def _next(client: Client, peer_id: str, former: dict[str, Any], on_change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    try:
        peer = peer_of((await client.request("GET", peer_path(peer_id))).data)
    except Failure as failure:
        if failure.exit_code == Exit.UNREACHABLE:
            return former
        raise
    if (peer.get("status"), peer.get("status_reason")) != (former.get("status"), former.get("status_reason")):
        on_change(peer)
    return peer


async def _wake_on_events(client: Client, peer_id: str, wake: trio.MemorySendChannel[None]) -> None:
    def on_frame(frame: Frame) -> None:
        payload = frame.get("payload")
        if isinstance(payload, dict) and payload.get("federation_peer_id") == peer_id:
            try:
                wake.send_nowait(None)
            except trio.WouldBlock:
                return  # a wake-up is pending already, and one is enough

    try:
        await follow(client, None, on_frame, lambda reason, delay_s: None)
    except Failure:
        return  # polling goes on without events


@click.command(cls=Command)
@click.argument("peer")
@click.option("--for", "wanted", type=click.Choice(tuple(REACHED_BY)), default="active", show_default=True, help="The status to wait for.")
@click.option("--timeout", type=DurationType(), default="2m", show_default=True, metavar="TIME", help="How long to wait.")
@connected
def wait(peer: str, wanted: str, timeout: float) -> None:
    """Wait until a peer reaches a status; say why it does not.

    Exits with 7 if the time is over first, and with 1 if the peer is revoked meanwhile.
    """
    client, peer_id = resolved(peer)

    def on_change(found: dict[str, Any]) -> None:
        if not client.application.as_json:
            note(f"{clean(found.get('remote_instance_url'))}: {clean(found.get('status'))}{_because(found)}")

    outcome = client.application.run(wait_for, client, peer_id, wanted, timeout, on_change)
    if client.application.as_json:
        emit_json(attrs.asdict(outcome, recurse=False))
    elif outcome.reached:
        say(f"{clean(outcome.peer.get('status'))} after {approximate(outcome.waited_s)}")
    else:
        _explain(outcome, peer_id)
    if not outcome.reached:
        gone = outcome.peer.get("status") == "revoked"
        click.get_current_context().exit(int(Exit.FAILURE if gone else Exit.WAIT_TIMED_OUT))


def _because(peer: dict[str, Any]) -> str:
    return f" ({clean(peer['status_reason'])})" if peer.get("status_reason") else ""


def _explain(outcome: Outcome, peer_id: str) -> None:
    peer = outcome.peer
    note(
        f"still {clean(peer.get('status'))} after {approximate(outcome.waited_s)}, since {clean(peer.get('status_since'))}{_because(peer)}"
    )
    for finding in outcome.findings:
        note(f"{clean(finding.get('severity'))}: {clean(finding.get('message'))}")
        remedy = remedy_of(finding)
        if remedy and remedy not in str(finding.get("message")):
            note(f"  next: {remedy}")
    if not outcome.findings:
        note(_expectation(str(peer.get("status")), peer_id))


def _expectation(status: str, peer_id: str) -> str:
    if status == "proposed":
        return "nobody has accepted yet: the other operator has to run `powernode peers accept` with the invitation"
    if status == "revoked":
        return "a revoked peering is final; a new one begins with `powernode peers invite`"
    return f"no finding explains it yet; try `powernode peers probe {peer_id}` and `powernode peers heartbeat {peer_id}`"
