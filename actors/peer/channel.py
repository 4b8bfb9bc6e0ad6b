"""The peer channel as values: what may travel on it, who dials, when an echo is fresh, when a channel has to be dialled anew.

Lives here: pure rules that both ends, both levels of the simulator and the actor share. Must not live here: a connection, or a frame.
"""

from __future__ import annotations

from typing import Final

from actors.limits import (
    CHANNEL_ECHO_BEHIND_MAX,
    CHANNEL_RENEWED_GAP_S,
    CHANNEL_RENEWED_WITHIN_S,
    CHANNEL_RETRY_FIRST_S,
    CHANNEL_RETRY_MAX_S,
)
from runtime.values import Value

PROTOCOL: Final = "powernode.channel.v1"
"""The WebSocket subprotocol. A change that an older platform would misunderstand gets another number."""

CHANNEL_PATH: Final = "/federation_api/channel"

CHANNEL_CALLS: Final = frozenset(
    {
        ("POST", "/federation_api/heartbeat"),
        ("POST", "/federation_api/peer_events"),
        ("GET", "/federation_api/trust_bundle"),
        ("POST", "/federation_api/relayed"),
    }
)
"""Calls that may travel on a channel. Each may be repeated without harm, so one whose answer was lost is asked again over HTTP."""

CHANNEL_READS: Final = ("/federation_api/resources/", "/federation_api/grants", "/federation_api/service_catalog")
"""Beginnings of what may be read on a channel, with a grant's bearer where one is needed: else nobody could read from a platform that
cannot be dialled."""


def may_travel(method: str, path: str) -> bool:
    """Whether a call may travel on a channel; `path` may have a query."""
    return (method, path) in CHANNEL_CALLS or (method == "GET" and path.startswith(CHANNEL_READS))


NEEDS_AN_ADDRESS: Final = "axis_denied"
"""Code of the refusal to a caller whose address is not proven on a channel that the other end dialled: over HTTP it may be."""


class Held(Value, frozen=True):
    """A channel in use. `ours`: this platform dialled it."""

    channel: object
    ours: bool


class Register:
    """The one channel that is in use with each peer.

    Both ends may dial at the same time. Each then sees both channels and decides by the same rule which one goes, without a word.
    """

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def held(self, peer_id: str) -> Held | None:
        """The channel in use with a peer."""
        return self._held.get(peer_id)

    def all(self) -> tuple[Held, ...]:
        """Every channel in use."""
        return tuple(self._held.values())

    def take(self, peer_id: str, newcomer: Held, *, ours_wins: bool) -> Held | None:
        """Put a channel to use. Returns the one that has to go, which may be the newcomer.

        Of two that the same end dialled the newer stays, because whoever dials again has lost the older one.
        """
        former = self._held.get(peer_id)
        if former is not None and former.ours != newcomer.ours and newcomer.ours != ours_wins:
            return newcomer
        self._held[peer_id] = newcomer
        return former

    def drop(self, peer_id: str, channel: object) -> bool:
        """A channel has ended. Whether it was the one in use, so that there is none now."""
        held = self._held.get(peer_id)
        if held is None or held.channel is not channel:
            return False
        del self._held[peer_id]
        return True


def ours_wins(own_instance_id: str, remote_instance_id: str | None) -> bool:
    """Whether, of two channels with the same peer, the one that we dialled stays: both ends give opposite answers."""
    return own_instance_id < (remote_instance_id or "")


def wait_s(attempts: int, chance: float) -> float:
    """How long to wait before dialling again after `attempts` failures in a row. `chance`, in [0, 1), spreads the platforms.

    Doubles from one second to ten minutes, and is then taken at half to whole length, so that a thousand peers of a platform that has
    just restarted do not all come at once.
    """
    longest = min(CHANNEL_RETRY_FIRST_S * 2.0 ** min(attempts, 16), CHANNEL_RETRY_MAX_S)
    return longest * (0.5 + chance / 2)


class ShownLeaf(Value, frozen=True):
    """The certificate that a listener shows. `root`: fingerprint of the end of its chain; the dates are seconds since the epoch."""

    root: str
    not_before: float
    not_after: float


def outlived(shown: ShownLeaf, now_shown: ShownLeaf, wall: float) -> bool:
    """Whether a peer should dial anew that has seen one certificate of our listener, now that the listener shows another.

    A certificate is replaced long before its end. A channel is left alone until half of its certificate's time is over, unless the new
    one is of another root: then the root of the former goes, too.
    """
    return shown.root != now_shown.root or wall >= (shown.not_before + shown.not_after) / 2


def renewal_gap_s(channels: int) -> float:
    """How long to wait from one channel to the next when so many have to be dialled anew, so that their peers do not all come at once."""
    return min(CHANNEL_RENEWED_GAP_S, CHANNEL_RENEWED_WITHIN_S / max(channels, 1))


def echo_is_fresh(boot_epoch: int, sent_sequence: int, echoed_epoch: int, echoed_sequence: int) -> bool:
    """Whether what the remote has heard of us last shows that our heartbeats of late reach it."""
    oldest = max(1, sent_sequence - CHANNEL_ECHO_BEHIND_MAX)
    return echoed_epoch == boot_epoch and oldest <= echoed_sequence <= sent_sequence
