"""The three axes of a grant: from what an operator writes to the explicit stored form, and the match of one value.

Lives here: normalisation with its problems, and the match predicate; pure. Must not live here: where the value of a call comes from (see
`context` of the door), or which axis is asked first (see `chain`).

A stored axis is either `("*",)`, which every call passes, or a list that is not empty, which a call without a value never passes. A blank
stored axis cannot be made here; should one be found it passes nobody.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from actors.limits import GRANT_AXIS_ENTRIES_MAX
from actors.problems import Problem
from runtime.ids import is_uuid

Axis = tuple[str, ...]
AxisName = Literal["node_instance_ids", "sdwan_network_ids", "source_cidrs"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

ANY: Final[Axis] = ("*",)
AXES: Final[tuple[AxisName, ...]] = ("node_instance_ids", "sdwan_network_ids", "source_cidrs")
_NETWORKS_REMEMBERED: Final = 20_000
_ADDRESSES_REMEMBERED: Final = 4_096
_MAPPED_BITS: Final = 96


def parse_axis(name: AxisName, value: object, problems: list[Problem], field: str) -> Axis:
    """The stored form of an axis as an operator writes it; null and an empty list mean any (the runbook's spelling)."""
    if value is None or value == []:
        return ANY
    if not isinstance(value, list | tuple):
        problems.append(Problem(field, "axis_not_array", "must be an array; leave it out or empty for any"))
        return ANY
    if len(value) > GRANT_AXIS_ENTRIES_MAX:
        problems.append(Problem(field, "axis_too_long", f"takes at most {GRANT_AXIS_ENTRIES_MAX} entries"))
        return ANY
    if list(value) == ["*"]:
        return ANY
    if "*" in value:
        problems.append(Problem(field, "axis_wildcard_mixed", 'takes either ["*"] alone or concrete values'))
        return ANY
    found = [_entry(name, entry, problems, field, index) for index, entry in enumerate(value)]
    return tuple(sorted({entry for entry in found if entry is not None})) or ANY


def _entry(name: AxisName, entry: object, problems: list[Problem], axis_field: str, index: int) -> str | None:
    field, facts = f"{axis_field}[{index}]", {"axis": name, "index": index}
    if entry is None or (isinstance(entry, str) and not entry.strip()):
        problems.append(Problem(field, "axis_value_blank", "is blank; a blank entry is never dropped in silence", facts=facts))
        return None
    if isinstance(entry, str):
        text = entry.strip()
        if name == "source_cidrs":
            return _cidr(text, problems, field, facts)
        if is_uuid(text.lower()):
            return text.lower()
    wanted = "a network such as 192.0.2.0/24" if name == "source_cidrs" else "a UUID"
    problems.append(Problem(field, "axis_value_invalid", f"must be {wanted}", facts=facts))
    return None


def _cidr(text: str, problems: list[Problem], field: str, facts: Mapping[str, object]) -> str | None:
    try:
        network = ipaddress.ip_network(text, strict=False)
        if "%" in text:
            raise ValueError
    except ValueError:
        problems.append(Problem(field, "axis_value_invalid", "must be a network such as 192.0.2.0/24", facts=facts))
        return None
    try:
        ipaddress.ip_network(text, strict=True)
    except ValueError:
        meant = str(_unmapped(network))
        text = f"has host bits set; did you mean {meant}?"
        problems.append(Problem(field, "cidr_host_bits_set", text, facts={**facts, "suggestion": meant}))
        return None
    return str(_unmapped(network))


def _unmapped(network: Network) -> Network:
    """An IPv4-mapped IPv6 network is the IPv4 network that it stands for."""
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((int(mapped), network.prefixlen - _MAPPED_BITS))
    return network


def is_explicit(axis: Axis) -> bool:
    """Whether the axis has its stored form: any, or concrete values without a blank among them."""
    return axis == ANY or (bool(axis) and all(entry.strip() and entry != "*" for entry in axis))


def holds_id(axis: Axis, value: str | None) -> bool:
    """Whether a call with this id passes an axis of ids."""
    if axis == ANY:
        return True
    return value is not None and value in axis and is_explicit(axis)


def holds_address(axis: Axis, value: str | None) -> bool:
    """Whether a call from this address passes an axis of networks. Text that is no address is no address."""
    if axis == ANY:
        return True
    address = parse_address(value) if value is not None else None
    if address is None or not is_explicit(axis):
        return False
    return any(address.version == network.version and address in network for network in networks(axis))


@functools.lru_cache(_ADDRESSES_REMEMBERED)
def parse_address(text: str) -> Address | None:
    """The address of a connection, IPv4 taken out of its IPv6 form; None if it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@functools.lru_cache(_NETWORKS_REMEMBERED)
def networks(axis: Axis) -> tuple[Network, ...]:
    """The networks of an axis, parsed once. What was stored unreadable admits nobody."""
    found: list[Network] = []
    for entry in axis:
        try:
            found.append(_unmapped(ipaddress.ip_network(entry)))
        except ValueError:
            continue
    return tuple(found)


def narrower(name: AxisName, former: Axis, wanted: Axis) -> bool:
    """Whether every call that passes `wanted` passes `former` too."""
    if former in (ANY, wanted):
        return True
    if wanted == ANY:
        return False
    if name != "source_cidrs":
        return set(wanted) <= set(former)
    return all(any(_inside(inner, outer) for outer in networks(former)) for inner in networks(wanted))


def _inside(inner: Network, outer: Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def host_network(address: str) -> str | None:
    """The network of one address alone."""
    parsed = parse_address(address)
    return None if parsed is None else f"{parsed}/{parsed.max_prefixlen}"


def all_any(axes: Iterable[Axis]) -> bool:
    """Whether none of the axes restricts anything."""
    return all(axis == ANY for axis in axes)
