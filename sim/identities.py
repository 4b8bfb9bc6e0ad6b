"""Who platforms are: identities and keys out of a small pool, made once per process.

Lives here: making and remembering them. Must not live here: anything that a run changes. What is made depends on the name and the number
alone, never on what was made before, so that a run is the same with an empty and with a full memory, in any process. Certificates are
dated to the start of a world, where every world begins.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from actors.certificates import pem_blocks
from net.authority import ROOT_LIFETIME_S, Authority, AuthorityError, new_root
from net.credentials import new_token_key
from net.vault import MASTER_KEY_BYTES, Vault
from runtime.ids import uuid7
from runtime.random import SeededRandomness
from runtime.values import evolve
from sim.clock import EPOCH, HostClock, Timeline

POOL: Final = 8
"""How many identities a name may have. Each seed picks one, so that what depends on the order of ids is still met in both orders."""

REMEMBERED_MAX: Final = 16_384
SERVER_LEAF_LIFETIME_S: Final = 10 * 365 * 86_400.0


@attrs.frozen(eq=False)
class Person:
    """What makes a platform itself.

    Attributes:
        name, number: which one of the pool it is.
        root_key, root: its certificate authority.
        token_key: signs the access tokens of its operators.
        server_chain: DER of what its listener presents.
    """

    name: str
    number: int
    instance_id: str
    account_id: str
    operator_id: str
    root_key: ed25519.Ed25519PrivateKey = attrs.field(repr=False)
    root: x509.Certificate
    token_key: ed25519.Ed25519PrivateKey = attrs.field(repr=False)
    server_chain: tuple[bytes, ...]


@attrs.frozen
class Papers:
    """The dates of a platform's own certificates, seconds from the start of its world.

    Attributes:
        root_ends_s: when its authority's root ends; root_begins_s: when it begins to be valid.
        listener_s: when the certificate of its listener ends.
    """

    root_ends_s: float | None = None
    root_begins_s: float = 0.0
    listener_s: float = SERVER_LEAF_LIFETIME_S


def dated(who: Person, papers: Papers) -> Person:
    """The same platform with other certificates. A root that is not valid yet signs nothing: its listener has nothing to show."""
    randomness = SeededRandomness(f"person/{who.name}/{who.number}/{papers}")
    made_at = EPOCH + (papers.root_begins_s if papers.root_ends_s is None else papers.root_ends_s - ROOT_LIFETIME_S)
    root_key, root = new_root(who.instance_id, now=made_at, randomness=randomness)
    vault = Vault(randomness.token_bytes(MASTER_KEY_BYTES), randomness)
    authority = Authority(root_key, root, instance_id=who.instance_id, clock=HostClock(Timeline()), randomness=randomness, vault=vault)
    try:
        chain = pem_blocks(authority.listener_leaves([f"{who.name}.example.com"], [], papers.listener_s)[1][0].decode())
    except AuthorityError:
        chain = ()
    assert isinstance(chain, tuple)
    return evolve(who, root_key=root_key, root=root, server_chain=chain)


def another(who: Person) -> Person:
    """Another platform of the same name."""
    return named(who.name, (who.number + 1) % POOL)


def person(name: str, seed: int | str) -> Person:
    """The identity of the platform `name` in the world of a seed."""
    return named(name, SeededRandomness(f"{seed}/{name}").stream("person").randrange(POOL))


@lru_cache(maxsize=REMEMBERED_MAX)
def named(name: str, number: int) -> Person:
    """One identity of the pool of a name."""
    randomness = SeededRandomness(f"person/{name}/{number}")
    ids = randomness.stream("ids")
    instance_id, account_id, operator_id = (uuid7(EPOCH, ids) for _ in range(3))
    root_key, root = new_root(instance_id, now=EPOCH, randomness=randomness)
    vault = Vault(randomness.token_bytes(MASTER_KEY_BYTES), randomness)
    authority = Authority(root_key, root, instance_id=instance_id, clock=HostClock(Timeline()), randomness=randomness, vault=vault)
    chain = pem_blocks(authority.listener_leaves([f"{name}.example.com"], [], SERVER_LEAF_LIFETIME_S)[1][0].decode())
    assert isinstance(chain, tuple)
    return Person(name, number, instance_id, account_id, operator_id, root_key, root, new_token_key(randomness), chain)
