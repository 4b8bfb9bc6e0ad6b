"""Many peers that can only dial out, in one process: each holds a channel to a hub, beats on it, and takes what the hub tells.

Run as `python -m tests.bench.crowd PORT FIRST COUNT INTERVAL_S`. Prints one line of JSON when all channels are open, and then one
for each command that it reads from its standard input: `heard NEEDLE` tells when each peer heard of it, `forget` begins anew.

Lives here: peers as light as can be, on the product's own TLS and WebSocket, and the rows of the hub that make them its peers. Must not
live here: a figure. A peer of this crowd is no platform: it stores nothing and judges nobody.
"""

from __future__ import annotations

import json
import queue
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from actors.door.call import Answer, Call, Source
from actors.peer.channel import CHANNEL_PATH, PROTOCOL
from actors.peer.record import OutboundIdentity, PeerRecord, TrustedAnchor
from actors.ports import IssuedIdentity, IssueIdentity
from actors.registry import KINDS
from api.daemon import AUTHORITY_FOLDER, store_file
from net.authority import Authority
from net.channel import PATH_PREFIX, Channel, ChannelLost
from net.tls import TlsStream, client_context
from net.vault import Vault
from net.websocket import StreamWire, upgraded
from runtime.clock import SystemClock, iso
from runtime.random import SystemRandomness
from runtime.store.port import Put, Unit
from runtime.store.sqlite import SqliteStore
from runtime.values import evolve
from tests.support.certificates import PeerPki, make_ca

TOGETHER: Final = 24
"""How many shake hands at a time, so that none waits for longer than the hub allows."""

_CLOCK = SystemClock()
_HEARTBEAT: Final = "/federation_api/heartbeat"


def peer_id(number: int) -> str:
    """The id of a peer's row at the hub."""
    return f"0190c0de-2222-7000-8000-{number:012x}"


def instance_id(number: int) -> str:
    """The id of a peer's instance."""
    return f"0190c0de-3333-7000-8000-{number:012x}"


# --- at the hub -----------------------------------------------------------------------------------------------------------


def plant(data: Path, count: int, active: int) -> None:
    """Write the rows of so many peers into the store of a hub that does not run. Each has trust material of its own.

    Those beyond the first `active` are paused: they are known and looked up like the others, but the hub does not call them.
    """
    delivered: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    store = SqliteStore.open(store_file(data), KINDS, deliver=delivered.put)
    chance = SystemRandomness()
    try:
        account_id, own = store.meta_get("account_id"), store.meta_get("instance_id")
        assert account_id is not None
        assert own is not None
        vault = Vault.open_or_create(data / "vault.key", chance)
        authority = Authority.open_or_create(data / AUTHORITY_FOLDER, instance_id=own, clock=_CLOCK, randomness=chance, vault=vault)
        results: list[object] = []
        rows = [_row(number, account_id, own, authority) for number in range(count)]
        units = [Unit((Put("peer", row if number < active else _paused(row)),)) for number, row in enumerate(rows)]
        store.commit(units, results.append)
        delivered.get()()
        assert isinstance(results[0], tuple), results
    finally:
        store.close()


def _row(number: int, account_id: str, own: str, authority: Authority) -> PeerRecord:
    wall, anchor = _CLOCK.wall(), make_ca(f"crowd {number}", now=_CLOCK.wall())
    issued = authority.handle(IssueIdentity(f"fed:{instance_id(number)}", own, 90 * 86_400.0))
    assert isinstance(issued, IssuedIdentity)
    return PeerRecord(
        id=peer_id(number),
        account_id=account_id,
        remote_instance_url=f"https://127.0.0.1:1/{number}",
        status="active",
        status_since=wall,
        inbound_subject=f"fed:{peer_id(number)}",
        remote_instance_id=instance_id(number),
        remote_peer_id=instance_id(number),
        contract_version_agreed=1,
        outbound=OutboundIdentity(issued.certificate_pem, issued.sealed_key, issued.serial, issued.not_before, issued.not_after),
        trusted_anchors=(TrustedAnchor(anchor.fingerprint, anchor.pem, wall + 3_600 * 86_400.0),),
        trust_mode="symmetric",
        trust_status="established",
        inbound_proven_at=wall,
        platform_version="0.1.0",
        created_at=wall,
        updated_at=wall,
    )


def _paused(row: PeerRecord) -> PeerRecord:
    return evolve(row, status="suspended", status_before_suspend="active", suspended_at=row.created_at)


# --- the crowd ------------------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Member:
    """One peer. `heard`: what the hub called, and when, by the monotonic clock that all processes of a machine share."""

    number: int
    crowd: Crowd
    channel: Channel | None = None
    sequence: int = 0
    hub_epoch: int = 0
    hub_sequence: int = 0
    heard: list[tuple[float, str, bytes]] = attrs.field(factory=list)

    async def join(self) -> Channel:
        """Open the channel."""
        pki = PeerPki(
            make_ca(f"crowd {self.number}", now=self.crowd.wall), f"fed:{peer_id(self.number)}", instance_id(self.number), self.crowd.wall
        )
        leaf = x509.load_der_x509_certificate(pki.leaf()).public_bytes(Encoding.PEM)
        key = pki.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        transport = await trio.open_tcp_stream("127.0.0.1", self.crowd.port)
        stream = TlsStream(transport, client_context(leaf, key), server_side=False, server_name="localhost")
        await stream.do_handshake()
        protocol = await upgraded(stream, f"localhost:{self.crowd.port}", PATH_PREFIX + CHANNEL_PATH, PROTOCOL)
        wire = StreamWire(stream, protocol, self.crowd.nursery.start_soon, waiting_max=64)
        await wire.receive()
        source = Source("127.0.0.1", "tls", (), "", channel=True)
        self.channel = Channel(wire, "hub", source, "", self.serve, self.crowd.nursery.start_soon, silence_s=1e6, dialled=True)
        return self.channel

    def serve(self, call: Call, done: Callable[[Answer], None]) -> None:
        """Answer the hub as a platform would."""
        if call.path.endswith("/heartbeat"):
            body = json.loads(call.body)
            self.hub_epoch, self.hub_sequence = body["boot_epoch"], body["sequence"]
            if body["peer_state"] != "ok":
                self.heard.append((_CLOCK.now(), call.path, call.body))
            data: dict[str, Any] = {"status": "active", "received_at": iso(_CLOCK.wall()), "last_ack": self.last_ack}
        else:
            self.heard.append((_CLOCK.now(), call.path, call.body))
            data = {"acknowledged": True}
        done(Answer(200, {"success": True, "data": data}))

    @property
    def last_ack(self) -> dict[str, int]:
        return {"epoch": self.hub_epoch, "sequence": self.hub_sequence}

    async def beat(self, interval_s: float, began: float) -> None:
        """Beat at equal intervals, each member at a time of its own."""
        assert self.channel is not None
        at = began + interval_s * (self.number % self.crowd.count) / self.crowd.count
        while not self.channel.ended:
            await trio.sleep_until(at)
            at += interval_s
            self.sequence += 1
            body = {
                "boot_epoch": 1, "sequence": self.sequence, "sent_at": iso(_CLOCK.wall()), "peer_state": "ok", "contract_version": 1,
                "platform_version": "0.1.0", "capabilities": {}, "endpoints": [], "extension_slugs": [], "sync_cursor": {},
                "last_ack": self.last_ack,
            }  # fmt: skip
            try:
                answer = await self.channel.exchange("POST", _HEARTBEAT, json.dumps(body).encode())
            except ChannelLost:
                return
            self.crowd.statuses[answer.status] = self.crowd.statuses.get(answer.status, 0) + 1


@attrs.define(eq=False)
class Crowd:
    """All members."""

    port: int
    count: int
    nursery: trio.Nursery
    wall: float = attrs.field(factory=_CLOCK.wall)
    statuses: dict[int, int] = attrs.field(factory=dict)
    ended: int = 0

    async def live(self, member: Member, gate: trio.CapacityLimiter, opened: Callable[[], None]) -> None:
        async with gate:
            channel = await member.join()
        opened()
        await channel.run()
        self.ended += 1


def told(facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def main(port: int, first: int, count: int, interval_s: float) -> None:
    async with trio.open_nursery() as nursery:
        crowd = Crowd(port, count, nursery)
        members = [Member(number, crowd) for number in range(first, first + count)]
        gate, left, all_open = trio.CapacityLimiter(TOGETHER), [count], trio.Event()

        def opened() -> None:
            left[0] -= 1
            if left[0] == 0:
                all_open.set()

        began = trio.current_time()
        for member in members:
            nursery.start_soon(crowd.live, member, gate, opened)
        await all_open.wait()
        told({"opened": count, "took_s": trio.current_time() - began})
        if interval_s > 0:
            for member in members:
                nursery.start_soon(member.beat, interval_s, trio.current_time())
        nursery.start_soon(answer_commands, crowd, members)


async def answer_commands(crowd: Crowd, members: list[Member]) -> None:
    """One line in, one line out, until the input ends."""
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        word, _, needle = line.strip().partition(" ")
        if word == "forget":
            for member in members:
                member.heard.clear()
            told({})
        elif word == "heard":
            times = [min((at for at, _, body in member.heard if needle.encode() in body), default=None) for member in members]
            told({"heard": times})
        else:
            told({"statuses": crowd.statuses, "ended": crowd.ended})
    crowd.nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
