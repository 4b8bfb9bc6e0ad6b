"""Every single check taken away: of the order in which a caller is believed, of the acceptance chain, of the rate limits.

Lives here: the checks by name, how each is deleted, and the scenarios that show it. Must not live here: other faults (see `faults`).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import actors.certificates
import actors.door.admission
import actors.door.bodies
import actors.door.callers
import actors.door.door
import actors.door.federation
import actors.door.grants.authorise
import actors.door.shapes
import actors.peer.minting
import sim.store
from actors.door.proxies import certificate_in
from actors.door.rate_limits import Blocks, RateLimits
from actors.door.shapes import Anything, Object, Parsed
from actors.peer.endpoints import parse_endpoints
from actors.peer.record import KIND
from runtime.errors import Fault
from runtime.secret import Secret
from runtime.store.port import Query
from runtime.values import evolve
from tests.planted.registry import Patch, Plant

ABLATIONS: dict[str, Plant] = {}
"""Name of a check to the plant that deletes it."""


def deleted(check: str, *scenarios: str) -> Any:
    """Register a function that deletes a check."""

    def register(apply: Any) -> Any:
        ABLATIONS[check] = Plant(check, f"The check is gone: {check}.", apply, scenarios)
        return apply

    return register


def _without_code(patch: Patch, module: Any, function: str, code: str, instead: Any = None) -> None:
    """Let a function of the chain pass what it refuses with that code."""
    check = getattr(module, function)

    def lenient(*given: Any) -> Any:
        found = check(*given)
        return instead if isinstance(found, Fault) and found.code == code else found

    patch.setattr(module, function, lenient)


def _certificates(patch: Patch, **replaced: Any) -> None:
    """Let the door see the judge of certificates with some functions replaced."""
    judge = actors.door.admission.certificates
    patch.setattr(actors.door.admission, "certificates", SimpleNamespace(**{name: getattr(judge, name) for name in dir(judge)} | replaced))


# --- the order of inbound authentication ----------------------------------------------------------------------------


@deleted("a client certificate is presented", "forged-certificates")
def _(patch: Patch) -> None:
    admit = actors.door.admission.admit

    def trusting(directory: Any, source: Any, family: Any, wall: float) -> Any:
        if source.certificates:
            return admit(directory, source, family, wall)
        row = directory._store.query(Query(KIND.name))[0]
        return actors.door.admission.Admitted(row.record, "")

    patch.setattr(actors.door.callers, "admit", trusting)


@deleted("a certificate is forwarded by nobody but a trusted proxy", "forged-certificates")
def _(patch: Patch) -> None:
    handle = actors.door.door.Door.handle

    def trusting(self: Any, call: Any, done: Any) -> None:
        forwarded = certificate_in(call.headers.get("client-cert", ""))
        if isinstance(forwarded, bytes):
            call = evolve(call, source=evolve(call.source, certificates=(forwarded,), verified={}))
        handle(self, call, done)

    patch.setattr(actors.door.door.Door, "handle", trusting)


@deleted("the certificate is in date", "forged-certificates")
def _(patch: Patch) -> None:
    check = actors.door.admission.certificates.check_profile
    _certificates(
        patch,
        check_profile=lambda leaf, *, now: check(leaf, now=(leaf.not_before + leaf.not_after) / 2),
        outside_dates=lambda subject, now: None,
    )


@deleted("the certificate is made for clients", "forged-certificates")
def _(patch: Patch) -> None:
    outside = actors.door.admission.certificates.outside_dates
    _certificates(patch, check_profile=lambda leaf, *, now: outside(leaf, now))


@deleted("the serial is not revoked", "certificate-outlives-tombstone")
def _(patch: Patch) -> None:
    patch.setattr(actors.door.admission, "check_serial", lambda directory, source, leaf: None)


@deleted("the subject is that of a row", "forged-certificates")
def _(patch: Patch) -> None:
    patch.setattr(actors.door.admission, "find_row", lambda directory, source, leaf: directory._store.query(Query(KIND.name))[0])


@deleted("an anchor of this very row signed it", "forged-certificates")
def _(patch: Patch) -> None:
    def check(source: Any, leaf: Any, record: Any, wall: float) -> None:
        source.verified["anchor"] = record.trusted_anchors[0].fingerprint

    patch.setattr(actors.door.admission, "check_anchor", check)


@deleted("nothing stands beside the leaf", "forged-certificates")
def _(patch: Patch) -> None:
    _certificates(patch, check_chain_presented=lambda chain, anchors: None)


@deleted("the instance is the one that was bound", "forged-certificates")
def _(patch: Patch) -> None:
    patch.setattr(actors.door.admission, "check_instance", lambda leaf, record: None)


@deleted("the status serves the call", "stolen-key-after-the-end")
def _(patch: Patch) -> None:
    patch.setattr(actors.door.admission, "check_status", lambda record, family, wall: None)


@deleted("the versions fit", "versions-that-do-not-fit")
def _(patch: Patch) -> None:
    patch.setattr(actors.door.grants.authorise, "schema_fault", lambda door, peer, kind: None)


# --- the acceptance chain -------------------------------------------------------------------------------------------


def _chain(check: str, function: str, code: str, scenario: str, instead: Any = None) -> None:
    @deleted(check, scenario)
    def _(patch: Patch) -> None:
        _without_code(patch, actors.peer.minting, function, code, instead)
        if function == "contract_fault":
            _without_code(patch, actors.door.federation, function, code, instead)


_chain("the contract version is supported", "contract_fault", "unsupported_contract_version", "flawed-accepts")
_chain("the contract text is ours", "contract_fault", "contract_digest_mismatch", "flawed-accepts")
_chain("the caller is not ourselves", "identity_fault", "self_peering", "flawed-accepts")
_chain("the row is bound to no other instance", "identity_fault", "peer_identity_conflict", "token-came-too-late")
_chain("the roles mirror each other", "identity_fault", "spawn_mismatch", "flawed-accepts")
_chain("there is one kind of trust material", "trust_material", "ambiguous_trust_material", "flawed-accepts", ())
_chain("there is trust material where it is required", "trust_material", "trust_material_required", "flawed-accepts", ())
_chain("a subject is assigned to us", "trust_material", "inbound_subject_required", "flawed-accepts", ())
_chain("the instance is named", "trust_material", "instance_san_mismatch", "flawed-accepts", ())
_chain("the bundle is sound", "trust_material", "invalid_ca_bundle", "flawed-accepts", ())
_chain("the anchor is not ours", "trust_material", "anchor_is_ours", "flawed-accepts", ())


@deleted("the signing request is signed by its own key", "flawed-accepts")
def _(patch: Patch) -> None:
    # The chain and the authority ask the same function.
    patch.setattr(actors.certificates, "check_csr", lambda pem: None)


def _field(check: str, name: str, **lenient: Any) -> None:
    """A field of the accept's body is read without its check."""

    @deleted(check, "flawed-accepts")
    def _(patch: Patch) -> None:
        shape = actors.door.bodies.FEDERATION_ACCEPT
        fields = tuple(evolve(field, **lenient) if field.name == name else field for field in shape.fields)
        instead = Object(fields, name=shape.name, unknown=shape.unknown)
        read = actors.door.shapes.read_body
        patch.setattr(actors.door.shapes, "read_body", lambda asked, *given: read(instead if asked is shape else asked, *given))


_field("a token is shown", "acceptance_token", required=False, default=Secret(""))
_field("the endpoints are sound", "endpoints", shape=Parsed(lambda value, problems, field: parse_endpoints(value, []), Anything()))
_field("the capabilities are within bounds", "capabilities", shape=Anything())
_field("the extension slugs are words", "extension_slugs", shape=Anything())


@deleted("no other row is bound to the instance", "instance-of-another-peer")
def _(patch: Patch) -> None:
    violated = sim.store._Table.violated

    def lenient(table: Any, record: Any) -> str | None:
        found = violated(table, record)
        return None if found == "instance" else found

    patch.setattr(sim.store._Table, "violated", lenient)


@deleted("the repetition is the same handshake", "spent-token-again")
def _(patch: Patch) -> None:
    minting = actors.peer.minting

    def replay(actor: Any, message: Any, address: Any, ctx: Any) -> bool:
        receipt = actor.record.receipt
        if receipt is None or receipt.token_digest != message.token_digest:
            return False
        ctx.call(minting.Open(receipt.sealed_answer, minting.RECEIPT_PURPOSE), then=minting.ReceiptOpened, tag=address)
        return True

    patch.setattr(minting.MintingSide, "_replay", replay)


@deleted("the token is in date", "clock-jumps-over-token")
def _(patch: Patch) -> None:
    _with_record(patch, lambda record: evolve(record, acceptance_token_expires_at=float("inf")))


@deleted("the status allows a token", "token-came-too-late")
def _(patch: Patch) -> None:
    _with_record(patch, lambda record: evolve(record, status="proposed"))


def _with_record(patch: Patch, changed: Any) -> None:
    """Let the guard of a token see another record where there is an open token."""
    fault = actors.peer.minting.redeem_fault

    def lenient(record: Any, message: Any, ctx: Any) -> Any:
        opened = record is not None and record.acceptance_token_digest is not None
        return fault(changed(record) if opened else record, message, ctx)

    patch.setattr(actors.peer.minting, "redeem_fault", lenient)


# --- the rate limits ------------------------------------------------------------------------------------------------


def _limit(name: str, scenario: str) -> None:
    @deleted(f"the limit {name}", scenario)
    def _(patch: Patch) -> None:
        take = RateLimits.take
        patch.setattr(
            RateLimits,
            "take",
            lambda limits, key, limit, now: None if key.startswith(f"{name} ") or key == name else take(limits, key, limit, now),
        )


_limit("accept_per_source", "flood-of-shapeless-accepts")
_limit("accept_overall", "flood-from-many-addresses")
_limit("heartbeat_per_peer", "flood-with-certificates")
_limit("trust_bundle_per_peer", "flood-with-certificates")
_limit("peer_events_per_peer", "flood-with-certificates")
_limit("unknown_certificate_per_source", "flood-with-certificates")
_limit("resources_per_peer", "flood-of-every-call")
_limit("catalog_per_peer", "flood-of-every-call")
_limit("subscriptions_per_peer", "flood-of-every-call")
_limit("grants_per_peer", "flood-of-every-call")
_limit("channels_per_peer", "flood-of-every-call")
_limit("relayed_per_peer", "flood-of-every-call")
_limit("certificate_per_peer", "flood-of-every-call")
_limit("audit_excerpts_per_peer", "flood-of-every-call")
_limit("login_per_source", "flood-of-every-call")
_limit("propose_per_operator", "operator-in-a-hurry")
_limit("regenerate_per_peer", "operator-in-a-hurry")


@deleted("the block of guessers", "flood-of-guesses")
def _(patch: Patch) -> None:
    patch.setattr(Blocks, "blocked_for", lambda blocks, source, now: None)
