"""The same seed gives the same digest: in processes with different hash seeds, under both drivers, whatever ran before.

The sample here is run with every change; `python -m tests.sweeps determinism` does the same for a thousand seeds.
"""

from __future__ import annotations

from sim.scenario.load import parse
from sim.scenario.run import run
from tests.sweeps.determinism import digests

SAMPLE = ("crossed-accepts", "minter-crashes-in-accept", "token-used-twice", "invitation")


def test_a_sample_of_seeds_gives_one_digest_each() -> None:
    found = digests([f"{seed}:scenarios/{SAMPLE[seed % 4]}.toml" for seed in range(8)], "frames")
    assert {piece: each for piece, each in found.items() if len(set(each.values())) > 1} == {}
    assert len({next(iter(each.values())) for each in found.values()}) == 8, "different seeds must differ, or the digest says nothing"


def test_a_seed_gives_one_digest_over_sockets_too() -> None:
    (found,) = digests(["7:scenarios/crossed-accepts.toml"], "sockets").values()
    assert len(found) == 2
    assert len(set(found.values())) == 1


REFUSED = """
name = "refused"
description = "No token lives for so long."

[world]
for = "1m"

[[platform]]
name = "a"

[[platform]]
name = "b"

[[at]]
t = "{t}"
do = "propose"
on = "a"
peer = "b"
ttl = "9999d"
"""


def test_an_answer_that_no_actor_gave_and_nobody_named_is_in_the_digest_too() -> None:
    at_1, again, at_2 = (run(parse(REFUSED.format(t=t), "refused.toml")).digest for t in ("1s", "1s", "2s"))
    assert at_1 == again != at_2
