"""The dynamic configuration of the reverse proxy, made from routes: a pure function that both sides of the port share.

Lives here: the form that Traefik's file provider reads (https://doc.traefik.io/traefik/providers/file/), and the list for the forwarder of
site-local ports. Must not live here: files. The same routes always give the same bytes, whatever their order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from actors.ports import ProxyRoute

HTTP: Final = frozenset({"http", "https"})
TLS: Final = frozenset({"https", "tls"})


@attrs.frozen
class HostCertificate:
    """The certificate that the proxy shows for a host name, leaf first, and its private key; both PEM."""

    chain_pem: str
    key_pem: str = attrs.field(repr=False)


@attrs.frozen
class OpenRoute:
    """A route with its bearer in the open; it lives only while the document is made.

    Attributes:
        certificate: what the proxy shows at its host name; None where there is none of ours.
        resolver: by which of its own certificate resolvers the proxy obtains one otherwise.
    """

    route: ProxyRoute
    bearer: str = attrs.field(repr=False)
    certificate: HostCertificate | None = None
    resolver: str | None = None


def encode(document: Mapping[str, Any]) -> bytes:
    """The bytes of a document: JSON with sorted keys, which is YAML too."""
    return (json.dumps(document, sort_keys=True, indent=2, ensure_ascii=True) + "\n").encode()


def dynamic_configuration(routes: Iterable[OpenRoute]) -> bytes:
    """The proxy's file of one account: a router, a service, and for HTTP a middleware that adds the bearer, for each route.

    A TLS backend is verified by its server name under its one anchor; there is no way to skip that. Sections without entries are left out,
    because the proxy refuses empty ones. Certificates stand in the file itself: the proxy looks at a file anew when that file changes.
    """
    sections: dict[str, dict[str, dict[str, Any]]] = {"http": {}, "tcp": {}}
    shown: dict[str, HostCertificate] = {}
    for each in routes:
        if each.route.site_local:
            continue
        if each.route.protocol in HTTP:
            _add_http(sections["http"], each)
        else:
            _add_tcp(sections["tcp"], each)
        if each.route.protocol in TLS and each.certificate is not None:
            shown[each.route.host] = each.certificate
    certificates = [{"certFile": held.chain_pem, "keyFile": held.key_pem} for _, held in sorted(shown.items())]
    parts: dict[str, Any] = {**sections, "tls": {"certificates": certificates} if certificates else {}}
    return encode({name: part for name, part in parts.items() if part})


def forwards(routes: Iterable[OpenRoute]) -> bytes:
    """The file of the forwarder: for each site-local route where it listens, whereto it connects and how the backend proves itself."""
    listed = [
        {
            "key": each.route.key,
            "listen": each.route.host.replace("localhost:", "127.0.0.1:"),
            "protocol": each.route.protocol,
            "backend": _authority(each.route),
            "bearer": each.bearer if each.route.protocol in HTTP else None,
            "server_name": each.route.server_name,
            "anchor_pem": each.route.anchor_pem,
        }
        for each in routes
        if each.route.site_local
    ]
    return encode({"forwards": sorted(listed, key=lambda entry: str(entry["key"]))} if listed else {})


def _add_http(section: dict[str, dict[str, Any]], each: OpenRoute) -> None:
    route = each.route
    key = route.key
    router: dict[str, Any] = {"rule": f"Host(`{route.host}`)", "service": key, "middlewares": [key]}
    if route.protocol in TLS:
        router["tls"] = _terminated(each)
    balancer: dict[str, Any] = {"servers": [{"url": f"{route.protocol}://{_authority(route)}"}]}
    if route.server_name is not None:
        balancer["serversTransport"] = key
        section.setdefault("serversTransports", {})[key] = {"serverName": route.server_name, "rootCAs": [route.anchor_pem]}
    section.setdefault("routers", {})[key] = router
    section.setdefault("services", {})[key] = {"loadBalancer": balancer}
    header = {"headers": {"customRequestHeaders": {"Authorization": f"Bearer {each.bearer}"}}}
    section.setdefault("middlewares", {})[key] = header


def _terminated(each: OpenRoute) -> dict[str, Any]:
    return {"certResolver": each.resolver} if each.certificate is None and each.resolver is not None else {}


def _add_tcp(section: dict[str, dict[str, Any]], each: OpenRoute) -> None:
    route = each.route
    key = route.key
    server: dict[str, Any] = {"address": _authority(route)}
    balancer: dict[str, Any] = {"servers": [server]}
    if route.server_name is not None:
        server["tls"] = True
        balancer["serversTransport"] = key
        transport = {"tls": {"serverName": route.server_name, "rootCAs": [route.anchor_pem]}}
        section.setdefault("serversTransports", {})[key] = transport
    # A name can only be read from TLS: what is plain TCP at the backend goes through as the client has sealed it.
    section.setdefault("routers", {})[key] = {
        "rule": f"HostSNI(`{route.host}`)",
        "service": key,
        "tls": _terminated(each) if route.protocol in TLS else {"passthrough": True},
    }
    section.setdefault("services", {})[key] = {"loadBalancer": balancer}


def _authority(route: ProxyRoute) -> str:
    host = f"[{route.backend_host}]" if ":" in route.backend_host else route.backend_host
    return f"{host}:{route.backend_port}"
