"""A platform's catalogue in tests: writing to it, granting it to a peer, and reading it as that peer would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from actors import certificates
from actors.door.call import Answer, Source
from actors.grant.messages import Draft as GrantDraft
from actors.grant.messages import Issue, Issued
from actors.inventory.drafts import read_attributes
from actors.inventory.registry import REGISTRY
from actors.problems import Problem
from actors.resource.catalogue import KIND as CATALOGUE
from actors.resource.messages import Draft, Write, Written
from actors.resource.record import KIND, ResourceRecord
from runtime.actor import Ref
from runtime.ids import uuid7
from runtime.values import evolve
from tests.support.federation import ACCOUNT, OPERATOR, Pair, Platform

BOOK = "grant_book"


def told(platform: Platform, ref: Ref, message: Any) -> Any:
    """The outcome of a message that needs no passing of time."""
    outcomes: list[Any] = []
    platform.engine.ask(ref, message, 60.0, outcomes.append)
    platform.network.run()
    assert len(outcomes) == 1, "the message was not answered at once"
    return outcomes[0]


def draft(kind: str, id: str | None = None, path: str = "resources[0]", **attributes: Any) -> Draft:
    """A draft as the door makes it."""
    problems: list[Problem] = []
    read = read_attributes(REGISTRY.kinds[kind], attributes, problems, "attributes")
    assert read is not None, problems
    return Draft(path=path, kind=kind, id=id, attributes=read)


def catalogue(platform: Platform, message: Any) -> Any:
    """What the catalogue answers."""
    return told(platform, Ref(CATALOGUE.name, ACCOUNT), message)


def write(platform: Platform, drafts: Sequence[Draft], **options: Any) -> Any:
    """Write drafts; the outcome."""
    placed = tuple(evolve(each, path=f"resources[{place}]") for place, each in enumerate(drafts))
    return catalogue(platform, Write(account_id=ACCOUNT, by=OPERATOR, drafts=placed, **options))


def written(platform: Platform, *drafts: Draft) -> tuple[ResourceRecord, ...]:
    """Write drafts; the records."""
    outcome = write(platform, drafts)
    assert isinstance(outcome, Written), outcome
    return outcome.records


def stored(platform: Platform, id: str) -> ResourceRecord:
    """What is on the disk."""
    row = platform.store.load(KIND.name, id)
    assert row is not None
    record: ResourceRecord = row.record
    return record


@attrs.define(eq=False)
class Reader:
    """B, reading A's catalogue with a grant's bearer."""

    pair: Pair
    bearer: str | None
    grant_id: str = ""
    network_id: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        """The one answer to a GET under `/federation_api/resources`."""
        outbound = self.pair.b.record(self.pair.at_b.peer_id).outbound
        assert outbound is not None
        der = certificates.pem_to_der(outbound.certificate_pem)
        assert isinstance(der, bytes)
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.bearer is not None:
            sent["authorization"] = f"Bearer {self.bearer}"
        answers: list[Answer] = []
        source = Source("192.0.2.1", "tls", (der,), network_id=self.network_id)
        self.pair.a.call("GET", f"/federation_api/resources{path}", b"", answers.append, headers=sent, source=source)
        self.pair.network.run()
        assert len(answers) == 1
        return answers[0]

    def pages(self, path: str) -> list[list[dict[str, Any]]]:
        """Every page of a list, following its cursors."""
        out: list[list[dict[str, Any]]] = []
        cursor = ""
        while True:
            joint = "&" if "?" in path else "?"
            body = self.get(path + (f"{joint}cursor={cursor}" if cursor else "")).body
            assert body is not None
            assert body["success"], body
            out.append(list(body["data"]))
            cursor = body["meta"]["next_cursor"]
            if cursor is None:
                return out


def reader(pair: Pair, kind: str = "NodeModule", **changes: Any) -> Reader:
    """B with a fresh grant of A for this kind."""
    grant_id = uuid7(pair.network.clock.wall(), pair.a.chance.stream("grants"))
    facts = {"remote_subject": f"reader-{grant_id}@b", "resource_kind": kind, "ttl_s": 86_400.0, **changes}
    message = Issue(account_id=ACCOUNT, grant_id=grant_id, draft=GrantDraft(**facts), by=OPERATOR)
    issued = told(pair.a, Ref(BOOK, pair.at_a.peer_id), message)
    assert isinstance(issued, Issued), issued
    assert issued.bearer is not None
    return Reader(pair, issued.bearer.reveal(), grant_id)
