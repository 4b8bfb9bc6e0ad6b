"""How a person names a peer: by id, by the beginning of its id, by URL, or by host.

Lives here: finding the one peer that is meant. Must not live here: what is done with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from api.cli.client import Client, segment
from api.cli.failures import Exit, Failure
from runtime.ids import is_uuid

PREFIX_CHARS_MIN: Final = 4


async def find_peer_id(client: Client, name: str) -> str:
    """The id of the peer that `name` means; peerings that are over count only if no other one matches.

    Raises:
        Failure: none, or several.
    """
    if is_uuid(name.lower()):
        return name.lower()
    return one_peer(await client.all_pages("/platform/peers"), name)


def one_peer(peers: Sequence[Mapping[str, Any]], name: str) -> str:
    """The id of the one of `peers` (with `id`, `remote_instance_url` and `status`) that `name` means, as `find_peer_id` has it.

    Raises:
        Failure: none, or several.
    """
    found = [peer for peer in peers if _matches(peer, name)]
    found = [peer for peer in found if peer.get("status") != "revoked"] or found
    if not found:
        raise Failure("not_found", f"no peer is called {name!r}", Exit.NOT_FOUND)
    if len(found) > 1:
        candidates = [f"{peer.get('id')} {peer.get('remote_instance_url')}" for peer in found]
        raise Failure("peer_ambiguous", f"{name!r} names {len(found)} peers", Exit.USAGE, details={"candidates": candidates})
    return str(found[0]["id"])


def peer_path(peer_id: str, *rest: str) -> str:
    """The path of a peer, or of something below it."""
    return "/".join(("/platform/peers", segment(peer_id), *rest))


def peer_of(data: Any) -> dict[str, Any]:
    """The peer in an answer.

    Raises:
        Failure: there is none.
    """
    peer = data.get("peer") if isinstance(data, dict) else None
    if not isinstance(peer, dict):
        raise Failure("daemon_error", "the answer holds no peer", Exit.FAILURE)
    return peer


def _matches(peer: Mapping[str, Any], name: str) -> bool:
    wanted = name.lower().rstrip("/")
    url = str(peer.get("remote_instance_url") or "").lower()
    parts = urlsplit(url)
    begins = len(wanted) >= PREFIX_CHARS_MIN and str(peer.get("id")).startswith(wanted)
    return begins or wanted in (url, parts.netloc, parts.hostname)
