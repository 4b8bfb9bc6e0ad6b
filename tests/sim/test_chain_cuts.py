"""A chain over three platforms that is cut at every moment of either hop, by a crash of any of them or by a partition."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.scenario.load import parse
from sim.scenario.run import run

TEXT = (Path(__file__).parent.parent.parent / "scenarios/chain-of-three.toml").read_text("utf-8")
FIRST_S, SECOND_S = 190.0, 420.0
"""When the operator of the first lets the chain run, and when those of the middle approve its second hop."""

STEP_S, STEPS = 0.1, 12
CUTS = {
    "crash of a": ('do = "crash"\non = "a"\n', 'do = "restart"\non = "a"\n'),
    "crash of b": ('do = "crash"\non = "b"\n', 'do = "restart"\non = "b"\n'),
    "crash of c": ('do = "crash"\non = "c"\n', 'do = "restart"\non = "c"\n'),
    "partition of a and b": ('do = "partition"\nbetween = ["a", "b"]\n', 'do = "heal"\n'),
    "partition of b and c": ('do = "partition"\nbetween = ["b", "c"]\n', 'do = "heal"\n'),
    "answers lost": ('do = "partition"\nbetween = ["b", "a"]\noneway = true\n', 'do = "heal"\n'),
}


def cut(at: float, name: str) -> str:
    """The scenario with a cut of half a minute; operators say again what was lost."""
    begins, ends = CUTS[name]
    holder = "a" if at < SECOND_S else "b"
    steps = [
        (at, begins),
        (at + 29.0, f'do = "look_migration"\non = "{holder}"\nname = "meanwhile"\n'),
        (at + 30.0, ends),
        (600.0, 'do = "chain"\non = "a"\nstep = "run"\n'),
        (720.0, 'do = "decide"\non = "b"\n'),
        (900.0, 'do = "chain"\non = "a"\nstep = "retry"\n'),
        (1_000.0, 'do = "decide"\non = "b"\n'),
    ]
    return TEXT + "".join(f'\n[[at]]\nt = "{when:.3f}s"\n{what}' for when, what in steps)


def ends_of(name: str, hop: float, numbers: range) -> tuple[set[str], set[str]]:
    """How the holder's migration stood in the middle of each cut, and how it ended. No checker complains."""
    meanwhile, ends = set(), set()
    for number in numbers:
        at = hop + number * STEP_S
        result = run(parse(cut(at, name), "test.toml"), 1)
        failures = [failure for failure in result.failures if failure.checker != "code"]
        assert failures == [], (at, failures)
        meanwhile.add(result.history.answers["meanwhile"])
        ends.add(result.history.answers["end"])
    return meanwhile, ends


@pytest.mark.parametrize("hop", [FIRST_S, SECOND_S])
@pytest.mark.parametrize("name", CUTS)
def test_a_chain_that_is_cut_arrives_and_nothing_has_two_homes(name: str, hop: float) -> None:
    assert ends_of(name, hop, range(2, STEPS, 7))[1] == {"completed 2/2"}


@pytest.mark.sweep
@pytest.mark.parametrize("hop", [FIRST_S, SECOND_S])
def test_a_chain_that_is_cut_anywhere_arrives_and_nothing_has_two_homes(hop: float) -> None:
    meanwhile: set[str] = set()
    for name in CUTS:
        found, ends = ends_of(name, hop, range(STEPS))
        assert ends == {"completed 2/2"}, name
        meanwhile |= found
    assert len(meanwhile) > 2, meanwhile
