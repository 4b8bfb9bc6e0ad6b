"""How a request leaves: the seam between commands and the HTTP client of `net`.

Lives here: the shape of one exchange and its failures. Must not live here: authentication, envelopes, exit codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import attrs


@attrs.frozen
class Exchange:
    """An HTTP answer with a JSON body (an empty object if it had none); header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: Any


class TransportFailed(Exception):
    """There is no answer to read. `reason` says why, the text says it for a person."""

    def __init__(self, reason: Literal["unreachable", "timeout", "untrusted", "not_json"], message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Transport(Protocol):
    """One exchange with a daemon.

    `ca_pem` is the only anchor for an https URL, or None for the public CAs. `timeout_s` caps the whole exchange.

    Raises:
        TransportFailed: no answer, or one that is not JSON.
    """

    async def __call__(
        self, method: str, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any] | None, timeout_s: float, ca_pem: str | None
    ) -> Exchange: ...


async def over_net(
    method: str, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any] | None, timeout_s: float, ca_pem: str | None
) -> Exchange:
    """The production side: `net.http_client`."""
    from net import http_client

    anchor = None if ca_pem is None else ca_pem.encode()
    try:
        reply = await http_client.request_json(method, url, headers=headers, body=body, timeout_s=timeout_s, ca_pem=anchor)
    except http_client.Unreachable as error:
        raise TransportFailed("unreachable", str(error)) from error
    except http_client.TimedOut as error:
        raise TransportFailed("timeout", str(error)) from error
    except http_client.Untrusted as error:
        raise TransportFailed("untrusted", str(error)) from error
    except http_client.NotJson as error:
        raise TransportFailed("not_json", str(error)) from error
    return Exchange(reply.status, reply.headers, reply.body)
