"""Random (grant, call, peer) triples, each in the model's form and in the product's, from one seeded source.

Values are drawn from small pools so that every step is met often, both ways.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any, Literal

import attrs

from actors.grant.chain import Ask, PeerFacts
from actors.grant.record import GrantRecord
from actors.grant.tokens import Bearer
from runtime.errors import RemoteFault

NOW = 1_800_000_000.0


def uuid(number: int) -> str:
    return f"0190c0de-0000-7000-8000-{number:012x}"


PEERS = [uuid(1), uuid(2)]
GRANTS = [uuid(11), uuid(12)]
RESOURCES = [uuid(21), uuid(22)]
INSTANCES = [uuid(31), uuid(32), uuid(33)]
NETWORKS = [uuid(41), uuid(42), uuid(43)]
SOURCES = ["203.0.113.7", "203.0.113.200", "::ffff:203.0.113.7", "198.51.100.1", "2001:db8::7", "2001:db8:1::9", "no address"]
CIDRS = ["203.0.113.0/24", "203.0.113.7/32", "198.51.100.0/30", "2001:db8::/32", "2001:db8::/64", "0.0.0.0/0"]
KINDS = ["NodeModule", "NodeTemplate"]
SCOPES = ["read", "write", "admin", "migrate"]
STRANGER = "unknown_peer_subject"
SUBJECTS = ["operator@b.example", "robot@b.example"]


@attrs.frozen
class Triple:
    grant: dict[str, Any] | None
    call: dict[str, Any]
    peer: dict[str, Any]

    def ask(self) -> Ask:
        """The product's form. Of a stranger no peer is known, and so no grant."""
        call, peer = self.call, self.peer
        admission = None if call["admission"] is None else RemoteFault(call["admission"], "not admitted", 403)
        if call["admission"] == STRANGER:
            return Ask(call["now"], None, None, None, call["scope"], call["kind"], call["id"], call["subject"], call["instance"],
                       call["network"], call["source"], admission=admission)  # fmt: skip
        bearer: Bearer | Literal["malformed"] | None = (
            Bearer(call["bearer_id"], digest(call["secret"])) if call["bearer"] == "well-formed" else call["bearer"]
        )
        return Ask(
            wall=call["now"],
            peer=PeerFacts(peer["id"], peer["epoch"], peer["overlay_only"]),
            bearer=bearer,
            grant=None if self.grant is None else record(self.grant),
            scope=call["scope"],
            kind=call["kind"],
            resource_id=call["id"],
            subject=call["subject"],
            instance_id=call["instance"],
            network_id=call["network"],
            source_address=call["source"],
            bridge_active=call["bridge"],
            admission=admission,
        )


def digest(secret: str | None) -> str | None:
    return None if secret is None else hashlib.sha256(secret.encode()).hexdigest()


def record(grant: dict[str, Any]) -> GrantRecord:
    return GrantRecord(
        id=grant["id"],
        account_id=uuid(0),
        federation_peer_id=grant["peer"],
        peering_epoch=grant["epoch"],
        remote_subject=grant["subject"],
        resource_kind=grant["kind"],
        resource_id=grant["id_of"],
        permission_scopes=tuple(grant["scopes"]),
        node_instance_ids=tuple(grant["instances"]),
        sdwan_network_ids=tuple(grant["networks"]),
        source_cidrs=tuple(grant["cidrs"]),
        issued_at=NOW - 1000.0,
        expires_at=grant["expires"],
        revoked_at=NOW - 1.0 if grant["revoked"] else None,
        archived_at=NOW - 1.0 if grant["archived"] else None,
        bare_token=grant["bare"],
        token_digest=digest(grant["secret"]),
        previous_token_digest=digest(grant["former_secret"]),
        previous_token_until=grant["former_until"],
        updated_at=NOW,
    )


def axis(chance: random.Random, pool: list[str]) -> list[str]:
    drawn = chance.random()
    if drawn < 0.45:
        return ["*"]
    if drawn < 0.5:
        return chance.choice([[], [""], ["*", pool[0]]])
    return sorted(chance.sample(pool, chance.randint(1, len(pool) - 1)))


def triple(chance: random.Random) -> Triple:
    """One triple, leaning towards calls that get far."""
    often = lambda usual, *others: usual if chance.random() < 0.85 else chance.choice([usual, *others])  # noqa: E731
    bare = chance.random() < 0.1
    grant = {
        "id": GRANTS[0],
        "peer": often(PEERS[0], PEERS[1]),
        "epoch": often(1, 2),
        "subject": often(SUBJECTS[0], SUBJECTS[1]),
        "kind": often(KINDS[0], KINDS[1]),
        "id_of": chance.choice([None, None, RESOURCES[0], RESOURCES[1]]),
        "scopes": sorted(chance.sample(SCOPES, chance.randint(1, 4))),
        "instances": axis(chance, INSTANCES),
        "networks": axis(chance, NETWORKS),
        "cidrs": axis(chance, CIDRS),
        "expires": often(NOW + 10.0, NOW, NOW - 10.0, NOW + 0.001),
        "revoked": often(False, True),
        "archived": often(False, False, True),
        "bare": bare,
        "secret": None if bare else "current",
        "former_secret": None if bare else chance.choice([None, "former"]),
        "former_until": chance.choice([NOW - 5.0, NOW, NOW + 5.0]),
    }
    call = {
        "now": NOW,
        "bearer": often("well-formed", "malformed", None),
        "bearer_id": often(GRANTS[0], GRANTS[1]),
        "secret": often(None if bare else "current", None, "former", "wrong"),
        "kind": often(KINDS[0], KINDS[1], None),
        "id": chance.choice([None, RESOURCES[0], RESOURCES[0], RESOURCES[1]]),
        "scope": often("read", *SCOPES),
        "subject": often(None, *SUBJECTS),
        "instance": chance.choice([None, *INSTANCES]),
        "network": chance.choice([None, *NETWORKS]),
        "source": chance.choice([None, *SOURCES]),
        "bridge": chance.random() < 0.75,
        "admission": often(None, STRANGER, "peer_suspended", "schema_incompatible"),
    }
    peer = {"id": PEERS[0], "epoch": 1, "overlay_only": chance.random() < 0.3}
    return Triple(grant if chance.random() < 0.95 else None, call, peer)
