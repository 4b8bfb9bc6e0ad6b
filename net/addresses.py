"""Reaching an address that may be reached: resolution, policy, connect; and which addresses are our own.

Lives here: the dialler and the reading of local addresses. Must not live here: the policy itself (`actors.addresses`), TLS, HTTP.

The address that was checked is the address that is connected to. A name is resolved once per dial, so an answer that changes between a
check and a connect (DNS rebinding) has no second look-up to change in.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Final

import trio

from actors.addresses import is_literal, refused_reason
from net.limits import CLIENT_ADDRESSES_MAX, RESOLVE_S, RESOLVE_THREADS
from runtime.values import Value

log = logging.getLogger("net.addresses")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Connect = Callable[[str, int], Awaitable[trio.abc.Stream]]

# Sockets connected to these documentation addresses (RFC 5737, RFC 3849) send nothing and learn which address we would send from.
_NOWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


class DialFailed(Exception):
    """No connection came about and nothing was sent.

    Attributes:
        code: `address_not_allowed`, `name_not_resolved`, `connect_timeout`, `connect_refused` or `unreachable`.
        reason: what exactly, for a person; never holds anything that the remote wrote.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@lru_cache(maxsize=1)
def _resolver_threads() -> trio.CapacityLimiter:
    # A limiter of its own: look-ups that hang must not take the threads on which the store commits.
    return trio.CapacityLimiter(RESOLVE_THREADS)


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of `host` as this system resolves it, best first.

    Raises:
        OSError: the name has no address.
    """
    found = await trio.to_thread.run_sync(
        lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), abandon_on_cancel=True, limiter=_resolver_threads()
    )
    return [str(entry[4][0]) for entry in found]


async def system_connect(address: str, port: int) -> trio.abc.Stream:
    """A TCP connection to that very address.

    Raises:
        OSError: it cannot be made.
    """
    version = ipaddress.ip_address(address).version
    connecting = trio.socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        await connecting.connect((address, port))
    except BaseException:
        connecting.close()
        raise
    return trio.SocketStream(connecting)


class Dialler(Value, frozen=True):
    """Makes connections to remotes under the address policy.

    Attributes:
        allowed: the networks that may be dialled although they are not public; asked at every dial, because our own overlays come and go.
        resolve, connect: how names become addresses and addresses connections; replaced in simulations and tests.
    """

    allowed: Callable[[], tuple[str, ...]]
    resolve: Resolve = system_resolve
    connect: Connect = system_connect

    async def dial(self, host: str, port: int, connect_timeout_s: float) -> trio.abc.Stream:
        """Connect to the first permitted address of `host` that answers.

        Raises:
            DialFailed: with the reason of the last attempt.
        """
        failure = DialFailed("unreachable", "no address was tried")
        for address in await self._permitted(host, port):
            try:
                with trio.fail_after(connect_timeout_s):
                    return await self.connect(address, port)
            except trio.TooSlowError:
                failure = DialFailed("connect_timeout", f"no answer within {connect_timeout_s:g} s")
            except OSError as error:
                refused = error.errno == errno.ECONNREFUSED
                failure = DialFailed("connect_refused" if refused else "unreachable", errno.errorcode.get(error.errno or 0, "unknown"))
        raise failure

    async def _permitted(self, host: str, port: int) -> list[str]:
        addresses = [host] if is_literal(host) else await self._look_up(host, port)
        allowed = self.allowed()
        reasons = {address: refused_reason(address, allowed) for address in dict.fromkeys(addresses)}
        permitted = [address for address, reason in reasons.items() if reason is None]
        if not permitted:
            raise DialFailed("address_not_allowed", next((reason for reason in reasons.values() if reason is not None), "no address"))
        return permitted[:CLIENT_ADDRESSES_MAX]

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        try:
            with trio.fail_after(RESOLVE_S):
                addresses = await self.resolve(host, port)
        except trio.TooSlowError:
            raise DialFailed("name_not_resolved", f"no answer within {RESOLVE_S:g} s") from None
        except (OSError, UnicodeError):
            raise DialFailed("name_not_resolved", "the name has no address") from None
        if not addresses:
            raise DialFailed("name_not_resolved", "the name has no address")
        return addresses


async def local_addresses() -> frozenset[str]:
    """The addresses of this host's interfaces, as canonical text.

    Where the kernel cannot be asked, the addresses that outgoing packets would carry; these are fewer, so a hint may be passed over.
    """
    return await trio.to_thread.run_sync(_read_local_addresses, limiter=_resolver_threads())


def _read_local_addresses() -> frozenset[str]:
    try:
        return _from_kernel()
    except Exception as error:
        # pyroute2 brings up whatever the platform does to it, from ImportError to its own NetlinkError.
        log.info("the kernel does not list its addresses (%s); using those of outgoing packets", type(error).__name__)
        return _from_routes()


def _from_kernel() -> frozenset[str]:
    from pyroute2 import IPRoute  # type: ignore[import-untyped]

    with IPRoute() as kernel:
        found = [message.get("IFA_LOCAL") or message.get("IFA_ADDRESS") for message in kernel.get_addr()]
    return frozenset(str(ipaddress.ip_address(address)) for address in found if address)


def _from_routes() -> frozenset[str]:
    found: set[str] = set()
    for family, nowhere in _NOWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((nowhere, 9))
                found.add(str(ipaddress.ip_address(probe.getsockname()[0])))
        except OSError:
            continue
    return frozenset(found)
