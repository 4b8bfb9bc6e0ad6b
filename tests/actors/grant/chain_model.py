"""A second, independent description of the authorisation chain, small enough to be read against the protocol in one sitting.

It shares no code with the product: it works on plain dictionaries, parses addresses by hand-made arithmetic, and knows steps only as a
list of (code, condition). The product must agree with it on every call.
"""

from __future__ import annotations

from typing import Any

DAY = 86_400.0


def verdict(grant: dict[str, Any] | None, call: dict[str, Any], peer: dict[str, Any]) -> str:
    """`ok`, or the code of the refusal; for a refused axis `axis_denied <axis>`."""
    if call["admission"] is not None:
        return str(call["admission"])
    if call["bearer"] is None:
        return "grant_token_required"
    if grant is None or call["bearer"] == "malformed" or grant["peer"] != peer["id"] or call["bearer_id"] != grant["id"]:
        return "grant_token_invalid"
    if not secret_fits(grant, call):
        return "grant_token_invalid"
    if grant["archived"] or grant["revoked"] or grant["epoch"] != peer["epoch"]:
        return "grant_revoked"
    if call["now"] >= grant["expires"]:
        return "grant_expired"
    if call["kind"] is not None and call["kind"] != grant["kind"]:
        return "grant_kind_mismatch"
    if call["id"] is not None and grant["id_of"] is not None and call["id"] != grant["id_of"]:
        return "grant_resource_mismatch"
    if call["scope"] not in grant["scopes"]:
        return "grant_scope_missing"
    if call["subject"] is not None and call["subject"] != grant["subject"]:
        return "grant_subject_mismatch"
    if not member(grant["instances"], call["instance"]):
        return "axis_denied node_instance_ids"
    if not member(grant["networks"], call["network"]):
        return "axis_denied sdwan_network_ids"
    if call["network"] is None and peer["overlay_only"]:
        return "overlay_required"
    if call["network"] is not None and not call["bridge"]:
        return "bridge_inactive"
    if not within(grant["cidrs"], call["source"]):
        return "axis_denied source_cidrs"
    return "ok"


def secret_fits(grant: dict[str, Any], call: dict[str, Any]) -> bool:
    if grant["secret"] is None and grant["bare"] and call["secret"] is None:
        return True
    if call["secret"] is None:
        return False
    if call["secret"] == grant["secret"]:
        return True
    return grant["former_secret"] is not None and call["secret"] == grant["former_secret"] and call["now"] < grant["former_until"]


def member(axis: list[str], value: str | None) -> bool:
    if axis == ["*"]:
        return True
    if not axis or "" in axis or "*" in axis:
        return False
    return value is not None and value in axis


def within(axis: list[str], value: str | None) -> bool:
    if axis == ["*"]:
        return True
    if not axis or "" in axis or "*" in axis or value is None:
        return False
    address = bits(value)
    return address is not None and any(covers(entry, address) for entry in axis)


def covers(network: str, address: tuple[int, int]) -> bool:
    base, _, length = network.partition("/")
    found = bits(base)
    if found is None or found[0] != address[0]:
        return False
    shift = found[0] - int(length)
    return found[1] >> shift == address[1] >> shift


def bits(text: str) -> tuple[int, int] | None:
    """(width, value) of an address; IPv4 inside IPv6 is IPv4. Understands the forms that the tests use."""
    if text.startswith("::ffff:") and "." in text:
        return bits(text.removeprefix("::ffff:"))
    if ":" not in text:
        parts = text.split(".")
        if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
            return None
        return 32, sum(int(part) << 8 * (3 - index) for index, part in enumerate(parts))
    head, double, tail = text.partition("::")
    left = [int(part, 16) for part in head.split(":") if part]
    right = [int(part, 16) for part in tail.split(":") if part]
    groups = left + [0] * (8 - len(left) - len(right)) + right if double else left
    return 128, sum(group << 16 * (7 - index) for index, group in enumerate(groups))
