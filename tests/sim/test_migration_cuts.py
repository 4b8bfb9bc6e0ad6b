"""A migration that is cut at every moment of its way, by a crash of either side or by a partition."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.scenario.load import parse
from sim.scenario.run import run

TEXT = (Path(__file__).parent.parent.parent / "scenarios/resource-moves.toml").read_text("utf-8")
STEP_S = 0.05
STEPS = 22
CUTS = {
    "crash of a": ('do = "crash"\non = "a"\n', 'do = "restart"\non = "a"\n'),
    "crash of b": ('do = "crash"\non = "b"\n', 'do = "restart"\non = "b"\n'),
    "partition": ('do = "partition"\nbetween = ["a", "b"]\n', 'do = "heal"\n'),
    "answers lost": ('do = "partition"\nbetween = ["b", "a"]\noneway = true\n', 'do = "heal"\n'),
}


def cut(at: float, name: str) -> str:
    """The scenario of a move with a cut at a moment; an operator tries again what failed, and applies what was lost."""
    begins, ends = CUTS[name]
    steps = [
        (at, begins),
        (160.0, ends),
        (159.0, 'do = "look_migration"\non = "a"\nname = "meanwhile"\n'),
        (300.0, 'do = "migration"\non = "a"\nstep = "apply"\n'),
        (300.5, 'do = "migration"\non = "a"\nstep = "retry"\n'),
    ]
    return TEXT + "".join(f'\n[[at]]\nt = "{when:.3f}s"\n{what}' for when, what in steps)


@pytest.mark.parametrize("name", CUTS)
def test_a_migration_that_is_cut_anywhere_ends_with_one_home(name: str) -> None:
    ends, meanwhile = set(), set()
    for number in range(STEPS):
        at = 130.0 + number * STEP_S
        result = run(parse(cut(at, name), "test.toml"), 1)
        failures = [failure for failure in result.failures if failure.checker != "code"]
        assert failures == [], (at, failures)
        ends.add(result.history.answers["end"])
        meanwhile.add(result.history.answers["meanwhile"])
    assert ends == {"completed"}
    assert len(meanwhile) > 1, meanwhile


PEERED_AGAIN = (Path(__file__).parent.parent.parent / "scenarios/migration-stuck-and-peered-again.toml").read_text("utf-8")


def test_a_migration_whose_peering_ends_at_any_moment_ends_when_the_two_peer_again() -> None:
    stuck, ends = set(), set()
    assert PEERED_AGAIN.count("130.055s") == 1
    for number in range(10):
        text = PEERED_AGAIN.replace("130.055s", f"{130.005 + number * 0.01:.3f}s")
        result = run(parse(text, "test.toml"), 1)
        failures = [failure for failure in result.failures if failure.checker != "code"]
        assert failures == [], (number, failures)
        stuck.add(result.history.answers["stuck"])
        ends.add(result.history.answers["end"])
    assert stuck >= {"in_doubt", "finalizing"}
    assert ends <= {"completed", "failed"}
