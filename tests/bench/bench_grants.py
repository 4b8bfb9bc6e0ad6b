"""What grants cost: the decision about a call at 10 and at 100,000 grants, and an explanation among 10,000.

Run it: `python -m tests.bench --only grant`. A decision is what stands between an admitted peer and the catalogue: reading the bearer,
finding its row, and the whole chain. The peers' working set of 1,000 grants is asked for at random; the row of any other is read from the
database first.
"""

from __future__ import annotations

import hashlib
import queue
import random
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from actors.grant.chain import Ask, PeerFacts, decide
from actors.grant.desk import covering
from actors.grant.explain import nearest
from actors.grant.record import KIND, GrantRecord
from actors.grant.tokens import Bearer, parse
from runtime.clock import SystemClock
from runtime.directory import Directory
from runtime.store.port import BatchResult, Put, Unit
from runtime.store.sqlite import SqliteStore
from tests.bench.figures import Figure

NOW = 1_800_000_000.0
PEER = "0190c0de-0000-7000-8000-0000000000ee"
OTHER = "0190c0de-0000-7000-8000-0000000000ef"
SECRET = "s" * 43
FEW, MANY, EXPLAINED = 10, 100_000, 10_000
WORKING_SET = 1_000
DECISIONS = 60_000
ROUNDS = 11
BATCH = 2_000
EXPLANATIONS = 60

_clock = SystemClock()


def _id(number: int) -> str:
    return f"0190c0de-0000-7000-8000-{number:012x}"


def _grant(number: int, peer_id: str = PEER) -> GrantRecord:
    return GrantRecord(
        id=_id(number), version=1, account_id="account", federation_peer_id=peer_id, remote_subject=f"operator-{number}@b.example",
        resource_kind="NodeModule", source_cidrs=("198.51.100.0/24", "2001:db8::/32"), issued_at=NOW - 10, expires_at=NOW + 10 * 86_400,
        token_digest=hashlib.sha256(SECRET.encode()).hexdigest(), updated_at=NOW - 10,
    )  # fmt: skip


def _filled(folder: Path, count: int, every: int = 1) -> tuple[SqliteStore, Directory]:
    inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    store = SqliteStore.open(folder / f"{count}.db", [KIND], deliver=inbox.put)
    for start in range(0, count, BATCH):
        done: list[BatchResult] = []
        store.commit(
            [
                Unit((Put(KIND.name, _grant(number, PEER if number % every == 0 else OTHER)),))
                for number in range(start, min(start + BATCH, count))
            ],
            done.append,
        )
        while not done:
            inbox.get(timeout=60)()
    return store, Directory(store, {KIND.name: KIND})


def _round_us(directory: Directory, count: int) -> float:
    chance = random.Random(1)
    asked = [f"fg-{_id(chance.randrange(min(count, WORKING_SET)))}.{SECRET}" for _ in range(DECISIONS // ROUNDS)]
    for text in dict.fromkeys(asked):
        directory.row(KIND.name, text[3:39])
    peer = PeerFacts(PEER)
    started = _clock.now()
    for text in asked:
        bearer = parse(text)
        assert isinstance(bearer, Bearer)
        row = directory.row(KIND.name, bearer.grant_id)
        ask = Ask(NOW, peer, bearer, None if row is None else row.record, "read", "NodeModule", source_address="198.51.100.7")
        assert decide(ask).allowed
    return (_clock.now() - started) / len(asked) * 1e6


def _decisions() -> dict[str, float]:
    """Microseconds of one decision, the medians of rounds in turns, so that both meet the same disturbances."""
    with tempfile.TemporaryDirectory() as folder:
        few_store, few = _filled(Path(folder), FEW)
        many_store, many = _filled(Path(folder), MANY)
        pairs = [(_round_us(few, FEW), _round_us(many, MANY)) for _ in range(ROUNDS)]
        few_store.close()
        many_store.close()
    ratio = statistics.median(second / first for first, second in pairs)
    return {
        "figure": statistics.median(second for _, second in pairs),
        f"at_{FEW}_us": statistics.median(first for first, _ in pairs),
        "ratio": ratio,
    }


def _decision_ratio() -> dict[str, float]:
    values = _decisions()
    return {**values, "figure": values["ratio"]}


def _explanations() -> dict[str, float]:
    """Milliseconds of an explanation, reading the grants included, on a platform with 10,000 grants, none of which serves the call.

    The figure is for a peer with 100 of them for the kind in question; `worst_p50` is for one that has all of them.
    """
    usual, worst = _explain_ms(EXPLAINED // 100), _explain_ms(EXPLAINED)
    return {"figure": usual[int(len(usual) * 0.99)], "p50": usual[len(usual) // 2], "worst_p50": worst[len(worst) // 2]}


def _explain_ms(own: int) -> list[float]:
    ask = Ask(NOW, PeerFacts(PEER), None, None, "read", "NodeModule", source_address="203.0.113.9")
    took = []
    with tempfile.TemporaryDirectory() as folder:
        store, _ = _filled(Path(folder), EXPLAINED, EXPLAINED // own)
        for _ in range(EXPLANATIONS):
            started = _clock.now()
            found, _ = nearest(ask, [row.record for row in store.query(covering(PEER, "NodeModule", None))])
            took.append((_clock.now() - started) * 1000)
            assert [edit.name for edit in found.edits] == ["widen_axis"]
        store.close()
    return sorted(took)


FIGURES = (
    Figure("grant decision at 100,000 grants", "<= 20", "us", _decisions, 20.0, "lower"),
    Figure("grant decision: 100,000 ÷ 10 grants", "<= 1.3", "x", _decision_ratio, 1.3, "lower"),
    Figure("explain among 10,000 grants, p99", "<= 50", "ms", _explanations, 50.0, "lower"),
)
