"""Base URLs of other platforms in one canonical form, so that equal platforms have equal text.

Lives here: syntax. Must not live here: resolution, reachability, and whether an address may be dialled (`actors.addresses`).

Canonical means `https://<host>` or `https://<host>:<port>` and nothing after it:

* `https` only, whatever the letter case it came in;
* a name is lower case, internationalised names in their ASCII form (IDNA 2008, RFC 5891, after the mapping of UTS 46), without the
  final dot;
* an IPv4 address is four plain decimal numbers: a host whose last label is a number but which is no such address (`127.1`, `0x7f.1`,
  `2130706433`) is refused, because resolvers read it as an address that no policy has looked at;
* an IPv6 address is in its shortest form (RFC 5952), without a zone;
* the port 443 is left out;
* no user, no query, no fragment, and no path: a lone `/` is dropped, any other path is refused, since every path below the base
  is ours to say.

A *way* to a platform is its base URL, or `<base URL> via <base URL of a hub>`: then the hub's host and port are dialled, and
everything else, from the name that TLS asks for to the identity that the server must prove, is as the platform's own URL says.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

import attrs
import idna

from actors.limits import URL_CHARS_MAX

DEFAULT_PORT: Final = 443
HOST_CHARS_MAX: Final = 253  # RFC 1035, section 2.3.4, in text form

VIA: Final = " via "

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")


def canonical_url(text: object) -> str:
    """The canonical form of a platform's base URL.

    Raises:
        ValueError: `text` is no such URL; the sentence says why.
    """
    if not isinstance(text, str):
        raise ValueError("must be a string")
    if len(text) > URL_CHARS_MAX:
        raise ValueError(f"is longer than {URL_CHARS_MAX} characters")
    return _canonical(text)


@lru_cache(maxsize=1_024)
def _canonical(text: str) -> str:
    if _UNSAFE.search(text):
        raise ValueError("contains a space, a control character or a backslash")
    parts = _URL.fullmatch(text)
    if parts is None:
        raise ValueError("is not an absolute URL such as https://platform.example.com")
    if parts["scheme"].lower() != "https":
        raise ValueError("must begin with https://")
    if parts["rest"] not in ("", "/"):
        raise ValueError("must be a base URL: no path, no query, no fragment")
    if "@" in parts["authority"]:
        raise ValueError("must not contain a user name")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        raise ValueError("has no valid host and port")
    host = _canonical_host(authority["host"])
    port = DEFAULT_PORT if authority["port"] is None else int(authority["port"])
    if not 1 <= port <= 65_535:
        raise ValueError("has a port outside 1 to 65535")
    return f"https://{host}" if port == DEFAULT_PORT else f"https://{host}:{port}"


@attrs.frozen
class Way:
    """How a platform is reached; as text, what the module says of ways.

    Attributes:
        url: the platform's canonical base URL.
        hub: canonical base URL of the hub that is dialled in its place, or None.
    """

    url: str
    hub: str | None = None

    @property
    def dialled(self) -> str:
        """The URL whose host and port are connected to."""
        return self.hub or self.url

    def __str__(self) -> str:
        return self.url if self.hub is None else f"{self.url}{VIA}{self.hub}"


def parse_way(text: str) -> Way:
    """The way that a text names, in canonical form.

    Raises:
        ValueError: it names none; the sentence says why.
    """
    url, via, hub = text.partition(VIA)
    return Way(canonical_url(url), canonical_url(hub) if via else None)


def url_of(way: str) -> str:
    """The platform's own URL in a way that is known to be canonical."""
    return way.partition(VIA)[0]


def host_of(url: str) -> str:
    """The host of a canonical URL: a name, or an address without brackets."""
    authority = url.removeprefix("https://")
    if authority.startswith("["):
        return authority[1 : authority.index("]")]
    return authority.partition(":")[0]


def port_of(url: str) -> int:
    """The port of a canonical URL."""
    tail = url.removeprefix("https://").rpartition("]")[2].partition(":")[2]
    return int(tail) if tail else DEFAULT_PORT


def _canonical_host(host: str) -> str:
    if host.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            raise ValueError("has an invalid IPv6 address") from None
    name = _canonical_name(host)
    if _NUMBER_LABEL.fullmatch(name.rpartition(".")[2]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise ValueError("has a numeric host that is not an IPv4 address in four decimal numbers") from None
    return name


def _canonical_name(host: str) -> str:
    try:
        name = host.lower() if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise ValueError("has a host name that is not valid in international form") from None
    name = name.removesuffix(".")
    if len(name) > HOST_CHARS_MAX or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("has an invalid host name")
    return name
