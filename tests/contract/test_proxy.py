"""The port of the reverse proxy: one suite against the folder of the real side and the memory of the simulated one."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from actors.ports import GRANT_BEARER_PURPOSE, CertificateReady, EnsureCertificate, ProxyRoute, RoutesWritten, WriteRoutes
from actors.proxy_document import OpenRoute, dynamic_configuration, forwards
from net.proxy import FolderProxy
from net.proxy_certificates import ProxyCertificates
from net.vault import Vault
from runtime.errors import Fault
from runtime.random import SeededRandomness
from runtime.secret import Secret
from runtime.values import evolve
from sim.proxy import MemoryProxy

ACCOUNT = "0190c0de-0000-7000-8000-00000000acc0"
NOW = 1_800_000_000.0
NONE = ProxyCertificates(lambda: NOW)
CHANCE = SeededRandomness("proxy")
VAULT = Vault(CHANCE.token_bytes(32), CHANCE)
WEB = ProxyRoute(
    key="sub-1",
    protocol="https",
    host="wiki.b.example",
    site_local=False,
    backend_host="fd00::9",
    backend_port=8443,
    sealed_bearer=VAULT.seal(Secret("fg-1.secret"), GRANT_BEARER_PURPOSE),
    server_name="wiki.a.example",
    anchor_pem="-----BEGIN CERTIFICATE-----",
)
LOCAL = evolve(WEB, key="sub-2", host="localhost:9000", site_local=True, protocol="http", server_name=None, anchor_pem=None)


@attrs.define
class Side:
    """One side of the port, and how its files are read."""

    handle: Callable[[Any], Any]
    read: Callable[[str], bytes | None]

    def write(self, *routes: ProxyRoute) -> RoutesWritten:
        outcome = self.handle(WriteRoutes(ACCOUNT, routes))
        assert isinstance(outcome, RoutesWritten)
        return outcome

    def configuration(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.read(f"powernode-{ACCOUNT}.yml") or b"null")
        return found


@pytest.fixture(params=["folder", "memory"])
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Side:
    if request.param == "memory":
        memory = MemoryProxy(VAULT.open)
        return Side(memory.handle, memory.files.get)
    folder = tmp_path / "proxy"
    return Side(
        FolderProxy(folder, VAULT.open, NONE).handle, lambda name: (folder / name).read_bytes() if (folder / name).exists() else None
    )


def test_an_https_route_verifies_its_backend_and_adds_the_bearer(side: Side) -> None:
    assert side.write(WEB).changed is True
    assert side.configuration() == {
        "http": {
            "routers": {"sub-1": {"rule": "Host(`wiki.b.example`)", "service": "sub-1", "middlewares": ["sub-1"], "tls": {}}},
            "services": {"sub-1": {"loadBalancer": {"servers": [{"url": "https://[fd00::9]:8443"}], "serversTransport": "sub-1"}}},
            "middlewares": {"sub-1": {"headers": {"customRequestHeaders": {"Authorization": "Bearer fg-1.secret"}}}},
            "serversTransports": {"sub-1": {"serverName": "wiki.a.example", "rootCAs": ["-----BEGIN CERTIFICATE-----"]}},
        }
    }
    assert b"insecureSkipVerify" not in (side.read(f"powernode-{ACCOUNT}.yml") or b"")


def test_a_site_local_route_stands_in_the_forwarders_file_alone(side: Side) -> None:
    side.write(LOCAL)
    assert side.configuration() == {}
    (entry,) = json.loads(side.read(f"powernode-{ACCOUNT}.forwards.json") or b"null")["forwards"]
    assert (entry["listen"], entry["backend"], entry["bearer"]) == ("127.0.0.1:9000", "[fd00::9]:8443", "fg-1.secret")


def test_the_same_content_is_not_written_again_and_none_empties_the_files(side: Side) -> None:
    assert side.write(WEB, LOCAL).changed is True
    first = side.read(f"powernode-{ACCOUNT}.yml")
    assert side.write(LOCAL, WEB).changed is False
    assert side.read(f"powernode-{ACCOUNT}.yml") == first
    assert side.write().changed is True
    assert side.configuration() == {}


def test_no_certificate_can_be_had_before_an_authority_is_configured(side: Side) -> None:
    outcome = side.handle(EnsureCertificate("wiki.b.example"))
    assert isinstance(outcome, Fault)
    assert outcome.code == "certificate_authority_not_configured"


def test_the_files_are_private_and_complete_at_every_moment(tmp_path: Path) -> None:
    folder = tmp_path / "proxy"
    proxy = FolderProxy(folder, VAULT.open, NONE)
    proxy.handle(WriteRoutes(ACCOUNT, (WEB,)))
    path = folder / f"powernode-{ACCOUNT}.yml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert proxy.handle(WriteRoutes(ACCOUNT, (WEB,))) == RoutesWritten(True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in folder.iterdir()) == [f"powernode-{ACCOUNT}.forwards.json", f"powernode-{ACCOUNT}.yml"]


def test_a_folder_that_cannot_be_written_is_a_fault_and_leaves_the_former_routes(tmp_path: Path) -> None:
    (tmp_path / "proxy").write_bytes(b"in the way")
    outcome = FolderProxy(tmp_path / "proxy", VAULT.open, NONE).handle(WriteRoutes(ACCOUNT, (WEB,)))
    assert isinstance(outcome, Fault)
    assert outcome.code == "proxy_unavailable"
    broken = FolderProxy(tmp_path / "other", VAULT.open, NONE).handle(WriteRoutes(ACCOUNT, (evolve(WEB, sealed_bearer=b"nothing"),)))
    assert isinstance(broken, Fault)
    assert broken.code == "seal_broken"
    assert not (tmp_path / "other").exists()


# --- certificates of host names -------------------------------------------------------------------------------------


def _bring(folder: Path, host: str, *, names: tuple[str, ...], ends: float = NOW + 86_400.0, other_key: bool = False) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority")]),
        subject_name=x509.Name([]),
        public_key=key.public_key(),
        serial_number=7,
        not_valid_before=datetime.fromtimestamp(ends - 90 * 86_400.0, UTC),
        not_valid_after=datetime.fromtimestamp(ends, UTC),
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    shown = ec.generate_private_key(ec.SECP256R1()) if other_key else key
    folder.mkdir(exist_ok=True)
    (folder / f"{host}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / f"{host}.key").write_bytes(shown.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _ready(proxy: FolderProxy, host: str = "wiki.b.example") -> str | float | None:
    outcome = proxy.handle(EnsureCertificate(host))
    if isinstance(outcome, Fault):
        return outcome.code
    assert isinstance(outcome, CertificateReady)
    return outcome.not_after


def _written(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"powernode-{ACCOUNT}.yml").read_bytes())
    return found


@pytest.mark.parametrize("names", [("wiki.b.example",), ("*.b.example",), ("b.example", "Wiki.B.example")])
def test_a_certificate_that_was_brought_is_given_to_the_proxy_with_its_key(names: tuple[str, ...], tmp_path: Path) -> None:
    brought = tmp_path / "certificates"
    _bring(brought, "wiki.b.example", names=names)
    proxy = FolderProxy(tmp_path / "proxy", VAULT.open, ProxyCertificates(lambda: NOW, brought, "letsencrypt"))
    assert _ready(proxy) == NOW + 86_400.0
    tcp = evolve(WEB, key="sub-3", protocol="tcp", host="wiki.b.example", server_name=None, anchor_pem=None)
    proxy.handle(WriteRoutes(ACCOUNT, (WEB, LOCAL, tcp)))
    (shown,) = _written(tmp_path / "proxy")["tls"]["certificates"]
    assert shown == {name: (brought / f"wiki.b.example.{end}").read_text() for name, end in (("certFile", "crt"), ("keyFile", "key"))}
    assert _written(tmp_path / "proxy")["http"]["routers"]["sub-1"]["tls"] == {}
    assert _written(tmp_path / "proxy")["tcp"]["routers"]["sub-3"]["tls"] == {"passthrough": True}
    _bring(brought, "wiki.b.example", names=names, ends=NOW + 80 * 86_400.0)
    assert proxy.handle(WriteRoutes(ACCOUNT, (WEB, LOCAL, tcp))) == RoutesWritten(True), "a certificate that was renewed is given on"


@pytest.mark.parametrize("protocol", ["https", "tls"])
def test_a_resolver_of_the_proxy_obtains_what_nobody_has_brought(protocol: Any, tmp_path: Path) -> None:
    proxy = FolderProxy(tmp_path / "proxy", VAULT.open, ProxyCertificates(lambda: NOW, tmp_path / "none", "letsencrypt"))
    assert _ready(proxy) is None
    proxy.handle(WriteRoutes(ACCOUNT, (evolve(WEB, protocol=protocol),)))
    (section,) = _written(tmp_path / "proxy").values()
    assert section["routers"]["sub-1"]["tls"] == {"certResolver": "letsencrypt"}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"names": ("other.b.example",)}, "certificate_host_mismatch"),
        ({"names": ("*.example",)}, "certificate_host_mismatch"),
        ({"names": ("wiki.b.example",), "ends": NOW - 1.0}, "certificate_not_valid"),
        ({"names": ("wiki.b.example",), "ends": NOW + 91 * 86_400.0}, "certificate_not_valid"),
        ({"names": ("wiki.b.example",), "other_key": True}, "certificate_key_mismatch"),
    ],
)
def test_a_certificate_that_is_not_good_is_never_shown(given: dict[str, Any], code: str, tmp_path: Path) -> None:
    brought = tmp_path / "certificates"
    _bring(brought, "wiki.b.example", **given)
    proxy = FolderProxy(tmp_path / "proxy", VAULT.open, ProxyCertificates(lambda: NOW, brought, "letsencrypt"))
    assert _ready(proxy) == code
    proxy.handle(WriteRoutes(ACCOUNT, (WEB,)))
    assert "tls" not in _written(tmp_path / "proxy")


def test_files_that_are_no_certificate_say_so(tmp_path: Path) -> None:
    proxy = FolderProxy(tmp_path / "proxy", VAULT.open, ProxyCertificates(lambda: NOW, tmp_path))
    assert _ready(proxy) == "certificate_missing"
    (tmp_path / "wiki.b.example.crt").write_bytes(b"\xff no certificate")
    assert _ready(proxy) == "certificate_missing"
    (tmp_path / "wiki.b.example.key").write_bytes(b"no key")
    assert _ready(proxy) == "certificate_unreadable"
    (tmp_path / "wiki.b.example.key").write_bytes(b"x" * 70_000)
    assert _ready(proxy) == "certificate_unreadable"
    assert _ready(proxy, "../wiki.b.example") == "certificate_missing"


_ROUTES = st.lists(
    st.builds(
        lambda number, protocol, local: evolve(
            WEB,
            key=f"sub-{number}",
            protocol=protocol,
            site_local=local,
            server_name="x.example" if protocol in ("https", "tls") else None,
            host=f"localhost:{8000 + number}" if local else f"h{number}.example",
        ),
        st.integers(0, 99),
        st.sampled_from(["https", "http", "tcp", "tls"]),
        st.booleans(),
    ),
    unique_by=lambda route: route.key,
    max_size=8,
)


@given(_ROUTES, st.randoms(use_true_random=False))
def test_the_order_of_routes_does_not_show(routes: list[ProxyRoute], chance: Any) -> None:
    opened = [OpenRoute(route, "fg-x") for route in routes]
    shuffled = list(opened)
    chance.shuffle(shuffled)
    for document in (dynamic_configuration, forwards):
        assert document(opened) == document(shuffled)
    found = json.loads(dynamic_configuration(opened))
    keys = {key for section in found.values() for key in section["routers"]}
    assert keys == {route.key for route in routes if not route.site_local}
    assert keys == {key for section in found.values() for key in section["services"]}
