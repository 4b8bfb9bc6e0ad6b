"""Grant tests: what must stay allowed or refused, judged by the chain itself over the grants as they would be. Pure.

Lives here: the judgement. Must not live here: where tests are stored (see `book`), or which rows there are.

A test asks about a call, not about a grant: it is allowed if any grant in force would let the call through with its bearer presented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.grant.book import Expectation
from actors.grant.chain import Ask, PeerFacts, Verdict, decide
from actors.grant.record import GrantRecord
from actors.grant.tokens import Bearer
from runtime.values import Value, evolve

Grants = Callable[[str, str | None], Iterable[GrantRecord]]
"""From (kind, resource id) to the grants of the peer that could cover it."""

Bridged = Callable[[str], bool]
"""Whether a network has an active bridge to the peer."""


class Tested(Value, frozen=True):
    """The outcome of one test: `grant_id` is the grant that allows the call, if one does."""

    test: Expectation
    allowed: bool
    grant_id: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the chain says what the test wants."""
        return self.allowed == self.test.allowed


def run(tests: Iterable[Expectation], grants: Grants, peer: PeerFacts, bridged: Bridged, wall: float) -> tuple[Tested, ...]:
    """Judge every test."""
    return tuple(_judge(test, grants, peer, bridged, wall) for test in tests)


def _judge(test: Expectation, grants: Grants, peer: PeerFacts, bridged: Bridged, wall: float) -> Tested:
    blank = ask_of(test, peer, test.network_id is not None and bridged(test.network_id), wall)
    for grant in grants(test.kind, test.resource_id):
        if presented(blank, grant).allowed:
            return Tested(test, True, grant.id)
    return Tested(test, False)


def ask_of(test: Expectation, peer: PeerFacts, bridge_active: bool, wall: float) -> Ask:
    """The call of a test, without a bearer."""
    return Ask(
        wall=wall,
        peer=peer,
        bearer=None,
        grant=None,
        scope=test.scope,
        kind=test.kind,
        resource_id=test.resource_id,
        subject=test.subject,
        instance_id=test.instance_id,
        network_id=test.network_id,
        source_address=test.source_address,
        bridge_active=bridge_active,
    )


def with_bearer(ask: Ask, grant: GrantRecord) -> Ask:
    """The same call with the bearer of `grant` presented."""
    return evolve(ask, bearer=Bearer(grant.id, grant.token_digest), grant=grant)


def presented(ask: Ask, grant: GrantRecord) -> Verdict:
    """What the chain says of the call with the bearer of `grant`."""
    return decide(with_bearer(ask, grant))
