"""No secret is found where it does not belong: recognisable ones are planted wherever a secret can enter, then everything is searched.

Searched are the log files, what every reading call of the operator API answers, the event stream, the error bodies, every file of the data
folders (the store with its write-ahead log among them) and the arguments and environment of the processes. The answer that hands a secret
out, once, is the only thing left aside.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from actors.door.routes import ROUTES
from tests.support.daemons import PEERS, Daemon, Reply, both_active, daemons
from tests.support.event_follower import all_events
from tests.support.tls_client import FEDERATION_API, accept_body, connected

pytestmark = pytest.mark.e2e

MORE = """\
accept_block_after = 1000
[federation.rate_limits.login_per_source]
rate = 1000
burst = 1000
[federation.rate_limits.accept_per_source]
rate = 1000
burst = 1000
"""
OPERATORS = "/api/v1/system/operators"
KEY_MARKERS = (b"PRIVATE KEY-----",)


@attrs.define
class Planted:
    """Secrets by what they are, and every answer that must hold none of them."""

    a: Daemon
    b: Daemon
    a_peer: str = ""
    b_peer: str = ""
    secrets: dict[str, str] = attrs.field(factory=dict)
    answers: list[Reply] = attrs.field(factory=list)
    events: list[Any] = attrs.field(factory=list)

    @property
    def both(self) -> tuple[Daemon, Daemon]:
        return self.a, self.b

    def keep(self, name: str, secret: str) -> str:
        self.secrets[f"{name} {len(self.secrets)}"] = secret
        return secret

    def refused(self, reply: Reply, status: int) -> None:
        assert reply.status == status, reply.body
        self.answers.append(reply)

    def needles(self) -> dict[str, bytes]:
        """Each secret as it is, the part of it that nobody can guess, and both in base64 and hex."""
        found: dict[str, bytes] = {}
        for name, secret in self.secrets.items():
            for what, part in (("", secret), (" core", core_of(name, secret))):
                raw = part.encode()
                found |= {
                    name + what: raw,
                    f"{name}{what} in base64": base64.b64encode(raw)[:-4],
                    f"{name}{what} in hex": raw.hex().encode(),
                }
        return found


def core_of(name: str, secret: str) -> str:
    """What is left of a secret without the ids, pins and claims in it, which may be known."""
    if name.startswith("acceptance"):
        return secret.partition(".")[0]
    if name.startswith(("access", "refresh")):
        return secret.rpartition(".")[2]
    return secret


def sign_in_everywhere(planted: Planted) -> None:
    for daemon in planted.both:
        planted.keep("first password", daemon.password)
        planted.keep("access token", daemon.token)
        password = planted.keep("password", f"CANARY-password-of-{daemon.name}-0123456789")
        email = f"canary-{daemon.name}@example.org"
        body = {"email": email, "name": "Canary", "password": password, "permissions": ["system.peers.read"]}
        created = daemon.call("POST", OPERATORS, body)
        planted.refused(created, 201)
        session = daemon.call("POST", "/api/v1/auth/login", {"email": email, "password": password}).data
        planted.keep("access token", session["access_token"])
        refresh = planted.keep("refresh token", session["refresh_token"])
        renewed = daemon.call("POST", "/api/v1/auth/refresh", {"refresh_token": refresh}).data
        planted.keep("access token", renewed["access_token"])
        planted.keep("refresh token", renewed["refresh_token"])
        planted.refused(daemon.call("POST", "/api/v1/auth/refresh", {"refresh_token": refresh}), 401)
        changed = planted.keep("password", f"CANARY-changed-of-{daemon.name}-0123456789")
        planted.refused(daemon.call("PATCH", f"{OPERATORS}/{created.data['operator']['id']}", {"password": changed}), 200)
        wrong = planted.keep("password", "CANARY-wrong-password-0123456789")
        planted.refused(daemon.call("POST", "/api/v1/auth/login", {"email": email, "password": wrong}), 401)
        planted.refused(daemon.call("POST", "/api/v1/auth/login", {"email": [wrong], "password": {wrong: 1}, "CANARY": wrong}), 400)
        planted.refused(
            daemon.call("GET", PEERS, headers={"Authorization": f"Bearer {planted.keep('bearer', 'CANARY.bearer-token.0123456789')}"}), 401
        )


def pair_with_mistakes(planted: Planted) -> None:
    a, b = planted.both
    body = {"remote_instance_url": b.public_url, "spawn_role": "symmetric"}
    proposed = a.call("POST", PEERS, body, headers={"Idempotency-Key": "canary-key-1"})
    assert proposed.status == 201, proposed.body
    planted.a_peer = proposed.data["peer"]["id"]
    replaced = planted.keep("acceptance token", proposed.data["acceptance_token"])
    planted.keep("invitation", proposed.data["invitation"])
    minted = a.call("POST", f"{PEERS}/{planted.a_peer}/acceptance_token", {})
    token = planted.keep("acceptance token", minted.data["acceptance_token"])
    planted.keep("invitation", minted.data["invitation"])
    planted.b_peer = b.call("POST", PEERS, {"remote_instance_url": a.public_url}).data["peer"]["id"]
    own = b.call("POST", f"{PEERS}/{planted.b_peer}/acceptance_token", {}).data
    planted.keep("acceptance token", own["acceptance_token"])
    path = f"{PEERS}/{planted.b_peer}/accept"
    planted.refused(b.call("POST", path, {"acceptance_token": replaced}), 422)
    planted.refused(b.call("POST", path, {"acceptance_token": token, "surplus": token}), 400)
    planted.refused(b.call("POST", f"{path}?acceptance_token={token}", b"{" + token.encode()), 400)
    with connected(a.public_url) as stranger:
        wrong = planted.keep("acceptance token", "CANARYwrongtoken" + "x" * 27)
        planted.refused(stranger.request("POST", f"{FEDERATION_API}/accept", accept_body(wrong)), 401)
        planted.refused(stranger.request("POST", f"{FEDERATION_API}/accept", accept_body(token, contract_version=99)), 422)
        planted.refused(stranger.request("POST", f"{FEDERATION_API}/accept", accept_body(token, csr_pem=token)), 422)
    nowhere = b.call("POST", PEERS, {"remote_instance_url": "https://127.0.0.1:9"}).data["peer"]["id"]
    lost = planted.keep("acceptance token", "CANARYlosttokens" + "A" * 27)
    with ThreadPoolExecutor(1) as meanwhile:
        unreachable = meanwhile.submit(b.call, "POST", f"{PEERS}/{nowhere}/accept", {"acceptance_token": lost})
        planted.refused(b.call("POST", path, {"acceptance_token": token}), 200)
        both_active(a, planted.a_peer, b, planted.b_peer)
        planted.refused(unreachable.result(), 502)


def read_everything(planted: Planted) -> None:
    """Call every reading route with every id that there is."""
    for daemon, peer in ((planted.a, planted.a_peer), (planted.b, planted.b_peer)):
        operators = [row["id"] for row in daemon.call("GET", OPERATORS).data]
        peers = [row["id"] for row in daemon.call("GET", PEERS).data]
        account = daemon.call("GET", f"{PEERS}/{peer}").data["peer"].get("account_id") or peer
        actors = [("peer", each) for each in peers] + [("operator", each) for each in operators] + [("governance", account)]
        for route in ROUTES:
            if route.method != "GET" or route.face == "federation" or route.websocket:
                continue
            if "/actors/" in route.path:
                paths = [route.path.format(kind=kind, id=each) for kind, each in actors]
            else:
                # Of rows that nothing planted is in, an id that does not exist shows the refusal.
                others = {name: "node_module" if name == "kind" else peer for name in route.parameter_names if name != "id"}
                ids = operators if "operators" in route.path else peers
                paths = list(dict.fromkeys(route.path.format(id=each, **others) for each in ids))
            planted.answers += [daemon.call("GET", path) for path in paths]
        planted.events += trio.run(all_events, daemon)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    with daemons(tmp_path_factory.mktemp("canary"), "a", "b", more=MORE) as (a, b):
        found = Planted(a, b)
        sign_in_everywhere(found)
        pair_with_mistakes(found)
        read_everything(found)
        yield found


def assert_clean(planted: Planted, where: str, content: bytes) -> None:
    for name, needle in planted.needles().items():
        assert needle not in content, f"{name} is in {where}"
    for marker in KEY_MARKERS:
        assert marker not in content, f"a private key is in {where}"


def test_the_search_finds_what_is_there(planted: Planted) -> None:
    token = next(secret for name, secret in planted.secrets.items() if name.startswith("acceptance"))
    for text in (token, token.split(".")[0], f'"{token}"', token.encode().hex(), base64.b64encode(token.encode()).decode()):
        with pytest.raises(AssertionError, match="acceptance token"):
            assert_clean(planted, "a text with a token", text.encode())
    assert len(planted.secrets) > 20
    assert len(planted.answers) > 40
    assert len(planted.events) > 5


def test_no_answer_of_the_operator_api_and_no_refusal_holds_a_secret(planted: Planted) -> None:
    for reply in planted.answers:
        assert_clean(planted, f"an answer with status {reply.status}: {reply.body}", repr((reply.body, dict(reply.headers))).encode())


def test_no_event_holds_a_secret(planted: Planted) -> None:
    for event in planted.events:
        assert_clean(planted, f"the event {event}", repr(event).encode())


def test_no_log_holds_a_secret(planted: Planted) -> None:
    for daemon in planted.both:
        assert_clean(planted, "a log", daemon.log_file.read_bytes())


def test_no_process_was_told_a_secret_by_arguments_or_environment(planted: Planted) -> None:
    for daemon in planted.both:
        assert daemon.process is not None
        for name in ("cmdline", "environ"):
            assert_clean(planted, name, Path(f"/proc/{daemon.process.pid}/{name}").read_bytes())


def test_no_file_of_the_data_folder_holds_a_secret(planted: Planted) -> None:
    for daemon in planted.both:
        names = {file.name for file in files_of(daemon)}
        assert {"powernode.sqlite3", "powernode.sqlite3-wal"} <= names, names
        master_key = (daemon.data / "vault.key").read_bytes()
        assert len(master_key) >= 32
        for file in files_of(daemon):
            # A file that is only written to take another's place may be gone by now.
            with contextlib.suppress(FileNotFoundError):
                content, mode = file.read_bytes(), file.stat().st_mode
                assert_clean(planted, str(file), content)
                assert file.name == "vault.key" or master_key not in content, file
                assert mode & 0o077 == 0, file


def files_of(daemon: Daemon) -> list[Path]:
    return [file for file in daemon.data.rglob("*") if file.is_file()]
