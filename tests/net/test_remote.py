"""Calls to other platforms: identities on both sides, URLs in order, faults, kept connections, the address policy on connect."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from actors.certificates import verify_server
from actors.ports import ClientIdentity, ProbeRequest, ProbeTarget, RemoteReply, RemoteRequest, ServerExpectation
from net.addresses import Dialler, local_addresses, system_connect
from net.client_hello import alert
from net.remote import RemoteClient
from runtime.errors import Fault
from tests.net.certs import DAY_S, NOW, Authority, Leaf
from tests.net.served import INSTANCE, PATIENCE_S, Served, echo, read_head, serving, until
from tests.support.daemons import reserved_port

ALLOWED = ("127.0.0.0/8",)


@attrs.define
class Wall:
    """A clock that tests set."""

    wall_s: float = NOW

    def now(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return self.wall_s


def unseal(sealed: bytes, purpose: str) -> bytes:
    """Sealed values of these tests are their purpose, a colon, and the plaintext."""
    found, _, plaintext = sealed.partition(b":")
    if found.decode() != purpose:
        raise ValueError(f"not sealed for {purpose}: {plaintext!r}")
    return plaintext


def identity(leaf: Leaf) -> ClientIdentity:
    return ClientIdentity(leaf.pem.decode(), b"outbound-key:" + leaf.key_pem)


@attrs.frozen
class World:
    """A served platform and the client that calls it."""

    served: Served
    client: RemoteClient
    wall: Wall
    ours: ClientIdentity

    @property
    def anchored(self) -> ServerExpectation:
        return ServerExpectation(anchors_pem=(self.served.authority.pem,), instance_id=INSTANCE)

    def request(self, **changes: Any) -> RemoteRequest:
        fields: dict[str, Any] = {
            "peer_id": "peer",
            "method": "POST",
            "path": "/federation_api/heartbeat",
            "body": {"sequence": 1},
            "urls": (self.served.url,),
            "identity": self.ours,
            "expectation": self.anchored,
            "timeout_s": PATIENCE_S,
        }
        return RemoteRequest(**{**fields, **changes})

    def probe(self, *targets: ProbeTarget, **changes: Any) -> ProbeRequest:
        fields: dict[str, Any] = {
            "peer_id": "peer",
            "targets": targets,
            "identity": self.ours,
            "expectation": self.anchored,
            "connect_timeout_s": PATIENCE_S,
            "handshake_timeout_s": PATIENCE_S,
        }
        return ProbeRequest(**{**fields, **changes})


@asynccontextmanager
async def world(app: Any = echo, *, allowed: tuple[str, ...] = ALLOWED, resolve: Any = None) -> AsyncIterator[World]:
    async def names(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    wall = Wall()
    dialler = Dialler(allowed=lambda: allowed, resolve=resolve or names)
    client = RemoteClient(clock=wall, open_sealed=unseal, verify_server=verify_server, dialler=dialler)
    async with serving(app) as served:
        yield World(served, client, wall, identity(Authority("ours").client(INSTANCE)))
        client.close()


async def ok(world: World, **changes: Any) -> RemoteReply:
    reply = await world.client.request(world.request(**changes))
    assert isinstance(reply, RemoteReply), reply
    return reply


async def fault(world: World, **changes: Any) -> Fault:
    found = await world.client.request(world.request(**changes))
    assert isinstance(found, Fault), found
    return found


async def test_a_request_carries_identity_path_and_body() -> None:
    async with world() as w:
        reply = await ok(w, sealed_fields={"token": b"acceptance-token:secret"})
        assert (reply.status, reply.body["path"], reply.body["certificates"]) == (200, "/api/v1/system/federation_api/heartbeat", 1)
        assert json.loads(reply.body["body"]) == {"sequence": 1, "token": "secret"}
        assert reply.chain_fingerprints[-1] == w.served.authority.fingerprint
        assert reply.url == w.served.url


async def test_only_the_accept_goes_without_identity() -> None:
    async with world() as w:
        assert (await ok(w, identity=None, path="/federation_api/accept")).body["certificates"] == 0
        accepted = w.served.listener.accepted["tls"]
        for path in ("/federation_api/heartbeat", "/federation_api/accept/", "/federation_api/accept?x", ""):
            assert (await fault(w, identity=None, path=path)).code == "no_outbound_identity"
        assert w.served.listener.accepted["tls"] == accepted


async def test_a_broken_identity_sends_nothing() -> None:
    authority = Authority()
    good, other = authority.client(INSTANCE), authority.client(INSTANCE)
    broken = {
        "expired": identity(authority.client(INSTANCE, days=-1)),
        "no key": ClientIdentity(good.pem.decode(), b""),
        "no certificate": ClientIdentity("", b"outbound-key:" + good.key_pem),
        "another's key": ClientIdentity(good.pem.decode(), b"outbound-key:" + other.key_pem),
        "sealed for something else": ClientIdentity(good.pem.decode(), b"acceptance-token:" + good.key_pem),
        "unparsable certificate": ClientIdentity("junk", b"outbound-key:" + good.key_pem),
        "unparsable key": ClientIdentity(good.pem.decode(), b"outbound-key:junk"),
    }
    async with world() as w:
        for name, ours in broken.items():
            for path in ("/federation_api/heartbeat", "/federation_api/accept"):
                found = await fault(w, identity=ours, path=path)
                assert (found.code, found.status) == ("no_outbound_identity", 503), name
                assert "PRIVATE" not in repr(found)
            probed = await w.client.probe(w.probe(ProbeTarget(w.served.url), identity=ours))
            assert [entry.error for entry in probed.probed] == ["no_outbound_identity"], name
        assert not w.served.listener.accepted


async def test_an_identity_that_expires_meanwhile_is_noticed() -> None:
    async with world() as w:
        await ok(w)
        w.wall.wall_s += 91 * DAY_S
        assert (await fault(w)).code == "no_outbound_identity"


async def test_a_sealed_field_that_cannot_be_opened_sends_nothing() -> None:
    async with world() as w:
        found = await fault(w, sealed_fields={"token": b"outbound-key:secret"})
        assert found.code == "seal_broken"
        assert "secret" not in repr(found)
        assert not w.served.listener.accepted


async def test_server_identities_that_are_accepted() -> None:
    async with world() as w:
        root = w.served.authority
        for expectation in (
            w.anchored,
            ServerExpectation(anchors_pem=(Authority().pem, root.pem), instance_id=INSTANCE),
            ServerExpectation(ca_fingerprint=root.fingerprint),
            ServerExpectation(ca_pin=root.pin),
        ):
            await ok(w, expectation=expectation)


async def test_server_identities_that_are_refused_before_a_byte_is_sent() -> None:
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["type"])
        await echo(scope, receive, send)

    async with world(app) as w:
        root, stranger = w.served.authority, Authority()
        for expectation in (
            ServerExpectation(anchors_pem=(stranger.pem,), instance_id=INSTANCE),
            ServerExpectation(anchors_pem=(root.pem,), instance_id="0190c0de-0000-7000-8000-0000000000bb"),
            ServerExpectation(anchors_pem=(root.pem,)),
            ServerExpectation(ca_fingerprint=stranger.fingerprint),
            ServerExpectation(ca_fingerprint="sha256:junk"),
            ServerExpectation(ca_pin=stranger.pin),
            ServerExpectation(ca_fingerprint=stranger.fingerprint, ca_pin=root.pin),
            ServerExpectation(anchors_pem=(stranger.pem,), instance_id=INSTANCE, ca_pin=root.pin),
            ServerExpectation(),
        ):
            found = await fault(w, expectation=expectation)
            assert (found.code, found.details["request_sent"]) == ("server_identity_unverified", False), expectation
            probed = await w.client.probe(w.probe(ProbeTarget(w.served.url), expectation=expectation))
            assert (probed.endpoint, probed.probed[0].error) == (None, "server_identity_unverified")
        w.wall.wall_s += 100 * DAY_S
        expired = await fault(w, identity=identity(Authority().client(INSTANCE, days=400)))
        assert expired.code == "server_identity_unverified"
        assert asked == ["lifespan"]


async def test_an_expectation_is_part_of_what_a_kept_connection_is_for() -> None:
    async with world() as w:
        first = (await ok(w)).body["connection"]
        assert (await ok(w)).body["connection"] == first
        assert (await fault(w, expectation=ServerExpectation(ca_pin=Authority().pin))).code == "server_identity_unverified"
        another = identity(Authority().client(INSTANCE))
        assert (await ok(w, identity=another)).body["connection"] != first
        assert (await ok(w, peer_id="somebody else")).body["connection"] != first
        w.client.forget("peer")
        assert (await ok(w)).body["connection"] != first


async def test_a_stale_connection_is_replaced_before_anything_is_sent() -> None:
    async with world() as w:
        first = (await ok(w)).body["connection"]
        w.served.listener.cut(lambda _: True)
        await until(lambda: w.served.listener.open_connections == 0)
        assert (await ok(w)).body["connection"] != first


@pytest.mark.parametrize(("method", "answers"), [("GET", True), ("PUT", True), ("POST", False)])
async def test_a_connection_lost_without_an_answer_is_tried_again_only_if_harmless(method: str, answers: bool) -> None:
    calls = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal calls
        if scope["type"] == "http":
            calls += 1
            if calls == 2:
                w.served.listener.cut(lambda _: True)
                await trio.sleep_forever()
        await echo(scope, receive, send)

    async with world(app) as w:
        await ok(w)
        found = await w.client.request(w.request(method=method))
        if answers:
            assert isinstance(found, RemoteReply)
        else:
            assert isinstance(found, Fault)
            assert (found.code, found.details["request_sent"]) == ("remote_unreachable", True)
        assert calls == (3 if answers else 2)


async def test_urls_are_tried_in_order_until_something_was_sent() -> None:
    with reserved_port() as held:
        closed = f"https://127.0.0.1:{held.getsockname()[1]}"
        async with world() as w:
            assert (await ok(w, urls=(closed, "https://10.0.0.1", "nonsense", w.served.url))).url == w.served.url
            found = await fault(w, urls=(closed, "https://10.0.0.1"))
            assert found.code == "remote_unreachable"
            assert [entry["error"] for entry in found.details["probed"]] == ["connect_refused", "address_not_allowed"]
            assert (await fault(w, urls=("https://10.0.0.1", "https://[::1]"))).code == "address_not_allowed"
            assert (await fault(w, urls=())).code == "remote_unreachable"


async def test_a_lost_answer_is_not_asked_for_elsewhere() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            w.served.listener.cut(lambda _: True)
            await trio.sleep_forever()
        await echo(scope, receive, send)

    async with world(app) as w:
        found = await fault(w, urls=(w.served.url, w.served.url))
        assert (found.code, found.details["request_sent"], len(found.details["probed"])) == ("remote_unreachable", True, 1)


async def test_a_remote_that_does_not_answer_meets_the_deadline() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await trio.sleep_forever()
        await echo(scope, receive, send)

    async with world(app) as w:
        found = await fault(w, timeout_s=0.1)
        assert (found.code, found.status) == ("remote_timeout", 504)
        assert found.details["probed"][0]["error"] == "timeout"
        assert w.client.pool.busy_connections == w.client.pool.idle_connections == 0


@pytest.mark.parametrize(
    ("content_type", "content", "reason"),
    [
        (b"text/html", b"{}", "not_json"),
        (b"application/json", b"[]", "not_json"),
        (b"application/json", b"{", "not_json"),
        (b"application/json", b'"' + b"x" * 1_100_000 + b'"', "reply_too_large"),
    ],
)
async def test_unusable_answers_are_the_remotes_fault(content_type: bytes, content: bytes, reason: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await echo(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 502, "headers": [(b"content-type", content_type)]})
        await send({"type": "http.response.body", "body": content})

    async with world(app) as w:
        found = await fault(w)
        assert (found.code, found.details["reason"], found.details["request_sent"]) == ("remote_error", reason, True)


async def test_redirects_are_answers_like_any_other() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await echo(scope, receive, send)
            return
        headers = [(b"location", b"https://elsewhere.example/"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 307, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    async with world(app) as w:
        reply = await ok(w)
        assert (reply.status, reply.headers["location"]) == (307, "https://elsewhere.example/")


# --- probing --------------------------------------------------------------------------------------------------------


async def test_probing_finds_the_first_endpoint_that_proves_itself() -> None:
    requests = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal requests
        requests += scope["type"] == "http"
        await echo(scope, receive, send)

    async with world(app) as w:
        found = await w.client.probe(
            w.probe(
                ProbeTarget("https://10.0.0.1"),
                ProbeTarget("https://127.0.0.1:1", "203.0.113.0/24"),
                ProbeTarget(w.served.url, "127.0.0.0/8"),
                ProbeTarget("https://127.0.0.1:1"),
            )
        )
        assert found.endpoint == w.served.url
        assert [(entry.url, entry.reachable, entry.error) for entry in found.probed] == [
            ("https://10.0.0.1", False, "address_not_allowed"),
            (w.served.url, True, None),
        ]
        assert found.probed[1].elapsed_ms is not None
        await until(lambda: w.served.listener.open_connections == 0)
        assert requests == 0
        assert (await w.client.probe(w.probe())).endpoint is None


async def test_a_server_that_does_not_shake_hands_is_given_up() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"https://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
    async with world() as w:
        found = await w.client.probe(w.probe(ProbeTarget(url), ProbeTarget(w.served.url), handshake_timeout_s=1.0))
        assert (found.endpoint, found.probed[0].error) == (w.served.url, "handshake_timeout")
    await listeners[0].aclose()


@pytest.mark.parametrize("reset", [False, True])
async def test_a_server_that_hangs_up_while_shaking_hands_is_away_and_no_impostor(reset: bool) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"https://127.0.0.1:{listeners[0].socket.getsockname()[1]}"

    async def hang_up(stream: trio.SocketStream) -> None:
        if reset:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            await stream.receive_some(1024)
        await stream.aclose()

    async with world() as w, trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, hang_up, listeners)
        found = await fault(w, urls=(url,))
        assert (found.code, found.details["probed"][0]["error"]) == ("remote_unreachable", "connection_lost")
        # What was never sent may go elsewhere.
        assert (await ok(w, urls=(url, w.served.url))).status == 200
        nursery.cancel_scope.cancel()


async def test_a_server_that_speaks_no_tls_has_no_identity() -> None:
    async with world() as w:
        url = f"https://127.0.0.1:{w.served.plain_port}"
        found = await fault(w, urls=(url,))
        assert (found.code, found.details["probed"][0]["error"]) == ("server_identity_unverified", "tls_failed")


HANDSHAKE_FAILURE = 40


async def test_a_server_that_refuses_before_it_has_shown_itself_has_not_been_reached() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"https://127.0.0.1:{listeners[0].socket.getsockname()[1]}"

    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(alert(HANDSHAKE_FAILURE))
        await stream.aclose()

    async with world() as w, trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, refuse, listeners)
        found = await fault(w, urls=(url,))
        assert (found.code, found.details["probed"][0]["error"]) == ("remote_unreachable", "tls_refused")
        nursery.cancel_scope.cancel()


# --- addresses ------------------------------------------------------------------------------------------------------


async def test_a_name_that_leads_inside_is_refused_unless_allowed() -> None:
    async with world(allowed=()) as w:
        url = f"https://platform.example:{w.served.port}"
        assert (await fault(w, urls=(url,))).code == "address_not_allowed"
        assert not w.served.listener.accepted
    async with world() as w:
        assert (await ok(w, urls=(f"https://platform.example:{w.served.port}",))).status == 200


async def test_a_name_that_changes_its_mind_is_connected_where_it_was_checked() -> None:
    answers = [["203.0.113.7", "8.8.8.8"], ["127.0.0.1"]]
    dialled: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return answers.pop(0)

    async def connect(address: str, port: int) -> trio.abc.Stream:
        dialled.append(address)
        raise ConnectionRefusedError(111, "refused")

    dialler = Dialler(allowed=lambda: (), resolve=rebinding, connect=connect)
    client = RemoteClient(clock=Wall(), open_sealed=unseal, verify_server=verify_server, dialler=dialler)
    ours = identity(Authority().client(INSTANCE))
    request = RemoteRequest("p", "GET", "/x", None, ("https://rebind.example",), ours, ServerExpectation(ca_pin="x" * 22), 1.0)
    first = await client.request(request)
    assert isinstance(first, Fault)
    assert (first.code, dialled, len(answers)) == ("remote_unreachable", ["8.8.8.8"], 1)
    second = await client.request(request)
    assert isinstance(second, Fault)
    assert (second.code, dialled) == ("address_not_allowed", ["8.8.8.8"])


async def test_a_resolver_that_hangs_or_finds_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async def hang(host: str, port: int) -> Sequence[str]:
        await trio.sleep_forever()
        raise AssertionError

    async def nothing(host: str, port: int) -> Sequence[str]:
        return []

    for resolve in (hang, nothing):
        dialler = Dialler(allowed=lambda: (), resolve=resolve)
        client = RemoteClient(clock=Wall(), open_sealed=unseal, verify_server=verify_server, dialler=dialler)
        targets = (ProbeTarget("https://slow.example"),)
        found = await client.probe(ProbeRequest("p", targets, None, ServerExpectation(), 0.2, 1.0))
        assert found.probed[0].error == "name_not_resolved"


async def test_the_system_connects_to_literal_addresses_only() -> None:
    async with serving() as served:
        stream = await system_connect("127.0.0.1", served.plain_port)
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: t\r\n\r\n")
        assert (await read_head(stream))[0].startswith(b"HTTP/1.1 200")
        await stream.aclose()
    with pytest.raises(ValueError, match="does not appear"):
        await system_connect("localhost", 1)


async def test_own_addresses_include_loopback() -> None:
    assert "127.0.0.1" in await local_addresses()


async def test_own_addresses_without_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> frozenset[str]:
        raise PermissionError("no netlink here")

    monkeypatch.setattr("net.addresses._from_kernel", broken)
    assert isinstance(await local_addresses(), frozenset)


async def test_a_hub_on_the_way_is_an_address_under_the_policy_and_nothing_else() -> None:
    asked: list[str] = []

    async def names(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return {"hub.example": ["127.0.0.1"], "inside.example": ["10.0.0.1"]}[host]

    async with world(resolve=names) as w:
        way = f"https://platform.example via https://hub.example:{w.served.port}"
        reply = await ok(w, urls=("https://platform.example via https://inside.example", way))
        # Nobody looks the platform's own name up; it is what the request is for all the same.
        assert (reply.url, asked) == (way, ["inside.example", "hub.example"])
        assert w.client.pool is not None
        found = await fault(w, urls=("https://platform.example via https://10.0.0.1", "https://platform.example via https://[::1]:22"))
        assert (found.code, [entry["error"] for entry in found.details["probed"]]) == ("address_not_allowed", ["address_not_allowed"] * 2)
        nonsense = ("https://platform.example via http://hub.example", "https://a.example via https://b.example via https://c.example")
        found = await fault(w, urls=nonsense)
        assert [entry["error"] for entry in found.details["probed"]] == ["invalid_url"] * 2
        # What answers must be the platform: that it is where the hub said proves nothing.
        others = ServerExpectation(anchors_pem=(Authority("another").pem,), instance_id=INSTANCE)
        assert (await fault(w, urls=(way,), expectation=others)).code == "server_identity_unverified"
        result = await w.client.probe(w.probe(ProbeTarget(way)))
        assert (result.endpoint, result.probed[0].reachable) == (way, True)
