"""Two platforms between which records are mirrored: `a` is the home, `b` mirrors, and each may have let the other read and write."""

from __future__ import annotations

from typing import Any

import attrs

from actors.capability.messages import Create, Synced, SyncNow
from actors.capability.record import KIND, CapabilityRecord
from actors.continuity.messages import Decide, Decided
from actors.continuity.record import KIND as CONTINUITY
from actors.grant import tokens
from actors.grant.messages import Draft as GrantDraft
from actors.grant.messages import Issue, Issued
from actors.mirror.record import KIND as MIRROR
from actors.mirror.record import SHELF, MirrorRecord
from actors.received_grant.messages import Receive
from actors.received_grant.record import ReceivedGrantRecord, row_id
from actors.resource.record import KIND as RESOURCE
from runtime.actor import Ref
from runtime.errors import Fault
from runtime.ids import uuid7
from runtime.secret import Secret
from runtime.store.port import Query
from sim.store import MemoryStore
from tests.support.catalogue import BOOK, told
from tests.support.federation import ACCOUNT, OPERATOR, Invited, Pair, Platform, pair

MODULES = "/federation_api/resources/NodeModule"
MONTH_S = 30 * 86_400.0


@attrs.define(eq=False)
class Mirroring:
    """A pair, and short ways to what tests ask for."""

    pair: Pair

    @property
    def home(self) -> Platform:
        return self.pair.a

    @property
    def holder(self) -> Platform:
        return self.pair.b

    def lend(self, issuer: Platform, scope: str, kind: str = "NodeModule", **changes: Any) -> str:
        """A grant of `issuer` to the other platform, whose operator keeps the bearer; its id."""
        grant_id = uuid7(self.pair.network.clock.wall(), issuer.chance.stream("grants"))
        facts: dict[str, Any] = {
            "remote_subject": f"{scope}-{grant_id}", "resource_kind": kind, "ttl_s": MONTH_S, "permission_scopes": (scope,), **changes,
        }  # fmt: skip
        message = Issue(account_id=ACCOUNT, grant_id=grant_id, draft=GrantDraft(**facts), by=OPERATOR)
        issued = told(issuer, Ref(BOOK, self.at(issuer).peer_id), message)
        assert isinstance(issued, Issued), issued
        assert issued.bearer is not None
        self.receive(self.other(issuer), issued.bearer)
        return grant_id

    def receive(self, holder: Platform, bearer: Secret) -> None:
        """The operator of `holder` keeps a bearer of the other platform."""
        message = Receive(account_id=ACCOUNT, peer_id=self.at(holder).peer_id, bearer=bearer, by=OPERATOR)
        named = tokens.parse(bearer.reveal())
        assert named is not None
        id = row_id(message.peer_id, named.grant_id)
        held = told(holder, Ref("received_grant", id), message)
        assert isinstance(held, ReceivedGrantRecord), held

    def at(self, platform: Platform) -> Invited:
        """The row of the other platform at this one."""
        return self.pair.at_a if platform is self.pair.a else self.pair.at_b

    def other(self, platform: Platform) -> Platform:
        return self.pair.b if platform is self.pair.a else self.pair.a

    def create(self, on: Platform, direction: str, policy: str = "manual", **changes: Any) -> Any:
        """What the making of a capability answers."""
        facts: dict[str, Any] = {
            "account_id": ACCOUNT, "by": OPERATOR, "peer_id": self.at(on).peer_id, "resource_kind": "NodeModule", "direction": direction,
            "policy": policy, "filter": {}, "interval_seconds": 300, "acknowledge_residency": False, **changes,
        }  # fmt: skip
        id = uuid7(self.pair.network.clock.wall(), on.chance.stream("capabilities"))
        return told(on, Ref(KIND.name, id), Create(**facts))

    def created(self, on: Platform, direction: str, policy: str = "manual", **changes: Any) -> str:
        """The id of a new capability."""
        outcome = self.create(on, direction, policy, **changes)
        assert isinstance(outcome, CapabilityRecord), outcome
        return outcome.id

    def pulling(self, policy: str = "manual", **changes: Any) -> str:
        """A capability of `b` that mirrors the modules of `a`, with the grant that it needs."""
        self.lend(self.home, "read")
        return self.created(self.holder, "pull_remote_to_local", policy, **changes)

    def pushing(self, policy: str = "manual", **changes: Any) -> str:
        """A capability of `a` that brings its modules to `b`, with the grant that it needs."""
        self.lend(self.holder, "write")
        return self.created(self.home, "push_local_to_remote", policy, **changes)

    def sync(self, on: Platform, id: str, *, full: bool = False) -> Synced | Fault:
        """What a pass that an operator asks for comes to."""
        outcome = told(on, Ref(KIND.name, id), SyncNow(by=OPERATOR, full=full))
        assert isinstance(outcome, Synced | Fault), outcome
        return outcome

    def capability(self, on: Platform, id: str) -> CapabilityRecord:
        """What is on the disk."""
        row = on.store.load(KIND.name, id)
        assert row is not None
        record: CapabilityRecord = row.record
        return record

    def mirrors(self, on: Platform | None = None) -> dict[str, MirrorRecord]:
        """The living mirrors of the holder, by the id of their record."""
        rows = (on or self.holder).store.query(Query(MIRROR.name))
        return {row.record.origin_id: row.record for row in rows if row.record.gone_at is None}

    def shown(self, on: Platform | None = None) -> dict[str, dict[str, Any]]:
        """What the mirrors say."""
        return {id: dict(record.attributes) for id, record in self.mirrors(on).items()}

    def truth(self, on: Platform | None = None) -> dict[str, dict[str, Any]]:
        """What the modules of the home are."""
        rows = (on or self.home).store.query(Query(RESOURCE.name))
        return {row.record.id: dict(row.record.attributes) for row in rows if row.record.lives and row.record.kind == "NodeModule"}

    def restore(self, platform: Platform, copy: MemoryStore) -> None:
        """Run a platform on a copy of its data, and let its operator decide that peerings and grants go on."""
        platform.store = copy
        platform.restored_at_epoch = platform.life + 1
        platform.restart()
        message = Decide(OPERATOR, "restored", keep_peerings=True, keep_grants=True)
        assert isinstance(told(platform, Ref(CONTINUITY.name, platform.instance_id), message), Decided)

    def counted(self, on: Platform | None = None) -> bool:
        """Whether the shelf knows how many rows it has."""
        platform = on or self.holder
        row = platform.store.load(SHELF.name, self.at(platform).peer_id)
        rows = platform.store.query(Query(MIRROR.name))
        return (row.record.count if row is not None else 0) == len(rows)


def mirroring(**federation: Any) -> Mirroring:
    """A pair that is active."""
    both = pair(**federation)
    both.connect()
    both.network.run()
    return Mirroring(both)
