"""The life of a peer and the life of a token as state machines: Hypothesis decides what operators and bad luck do, live actors answer.

The machine of peers knows no answers: whatever happens, the safety checkers must be content, and once bad luck has ended operators who do
what the documentation says must get their peering. The machine of tokens has a small model of its own and compares every answer with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from sim.scenario.load import load
from sim.scenario.run import run
from sim.testing import FederationMachine
from tests.support.planted import PLANTED

FEW = settings(
    deadline=None, max_examples=25, stateful_step_count=20, derandomize=True, print_blob=False,
    phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
)  # fmt: skip
MANY = settings(FEW, max_examples=600, stateful_step_count=40, derandomize=False)
PAUSES_S = (0.005, 0.02, 0.1, 1.0, 10.0, 100.0, 400.0)
SIDES = st.sampled_from([("a", "b"), ("b", "a")])
PLATFORMS = st.sampled_from(["a", "b"])


class PeerLife(FederationMachine):
    """Two operators and bad luck."""

    platforms: ClassVar[Any] = ({"name": "a", "fsync": "2ms"}, {"name": "b"})

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = {"a": 0, "b": 0}

    @initialize(begin=st.sampled_from(["nothing", "proposed", "accepting", "accepted"]))
    def begin(self, begin: str) -> None:
        if begin != "nothing":
            self.ask("propose", on="a", peer="b")
        if begin == "accepting":
            self.perform("accept_invitation", on="b", peer="a")
        if begin == "accepted":
            self.ask("accept_invitation", on="b", peer="a")

    @rule(sides=SIDES)
    def propose(self, sides: tuple[str, str]) -> None:
        self.perform("propose", on=sides[0], peer=sides[1])

    @rule(sides=SIDES, token=st.sampled_from(["latest", "first"]))
    def accept(self, sides: tuple[str, str], token: str) -> None:
        self.perform("accept", on=sides[0], peer=sides[1], token=token)

    @rule(sides=SIDES)
    def accept_invitation(self, sides: tuple[str, str]) -> None:
        self.perform("accept_invitation", on=sides[0], peer=sides[1])

    @rule(sides=SIDES, do=st.sampled_from(["regenerate", "heartbeat", "probe"]))
    def ask_for(self, sides: tuple[str, str], do: str) -> None:
        self.perform(do, on=sides[0], peer=sides[1])

    @precondition(lambda self: self.stage.status("a", "b") == "proposed")
    @rule()
    def cancel(self) -> None:
        self.perform("cancel", on="a", peer="b")

    @rule(on=PLATFORMS)
    def crash(self, on: str) -> None:
        self.perform("crash", on=on)

    @rule(on=PLATFORMS)
    def restart(self, on: str) -> None:
        self.perform("restart", on=on)

    @rule(oneway=st.booleans())
    def partition(self, oneway: bool) -> None:
        self.perform("partition", between=["a", "b"], oneway=oneway)

    @rule(rate=st.sampled_from([0.2, 0.6]))
    def loss(self, rate: float) -> None:
        self.perform("loss", between=["a", "b"], rate=rate)

    @rule()
    def heal(self) -> None:
        self.perform("heal")

    @rule(on=PLATFORMS, by_s=st.sampled_from([-300, -1, 3, 300]))
    def clock_step(self, on: str, by_s: int) -> None:
        self.ahead_s[on] += by_s
        self.perform("clock_step", on=on, by=by_s)

    @rule(seconds=st.sampled_from(PAUSES_S))
    def wait(self, seconds: float) -> None:
        self.advance(seconds)

    @invariant()
    def whoever_is_active_is_known(self) -> None:
        for on, peer in (("a", "b"), ("b", "a")):
            if self.stage.status(on, peer) == "active":
                self.require(self.stage.row(peer, on) is not None, f"{peer} on {on} is active, but {peer} has no row for {on}")

    @property
    def both(self) -> tuple[str | None, str | None]:
        return self.stage.status("a", "b"), self.stage.status("b", "a")

    def teardown(self) -> None:
        """Bad luck ends, and the operators do what the documentation says."""
        try:
            self.end_well()
        finally:
            super().teardown()

    def end_well(self) -> None:
        self.perform("heal")
        for name in ("a", "b"):
            if self.ahead_s[name]:
                self.perform("clock_step", on=name, by=-self.ahead_s[name])
            self.perform("restart", on=name)
        self.advance(400)
        for attempt in (self.accept_again, self.begin_anew):
            if self.both == ("active", "active"):
                return
            attempt()
            self.advance(400)
        self.require(
            self.both == ("active", "active"), f"when all bad luck has ended the peering is {self.both[0]} on a, {self.both[1]} on b"
        )

    def accept_again(self) -> None:
        self.ask("accept", on="b", peer="a")
        self.ask("accept", on="a", peer="b")

    def begin_anew(self) -> None:
        """A fresh token of a, used by b."""
        if self.ask("regenerate", on="a", peer="b") != "ok":
            self.ask("propose", on="a", peer="b")
        if self.ask("accept", on="b", peer="a") != "ok":
            self.ask("accept_invitation", on="b", peer="a")


@attrs.define
class Minted:
    """A token of the model."""

    expires_at: float
    open: bool = True


class TokenLife(FederationMachine):
    """a mints, b and c use; the model knows which token opens what.

    The network is sound, so that every answer is known beforehand.
    """

    platforms: ClassVar[Any] = tuple({"name": name, "accept_block_after": 1000} for name in "abc")

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[Minted] = []
        self.row = "none"
        for name in "bc":
            self.require(self.ask("propose", on=name, peer="a") == "ok", f"{name} cannot propose")

    @property
    def now(self) -> float:
        return self.stage.now

    def opens(self, token: Minted) -> bool:
        return token.open and self.now < token.expires_at and self.row == "proposed"

    def mint(self, ttl_s: float) -> None:
        for token in self.tokens:
            token.open = False
        self.tokens.append(Minted(self.now + ttl_s))

    @precondition(lambda self: self.row == "none")
    @rule(ttl_s=st.sampled_from([300, 600, 3600]))
    def propose(self, ttl_s: int) -> None:
        self.require(self.ask("propose", on="a", peer="b", ttl=ttl_s) == "ok", "a cannot propose")
        self.mint(ttl_s)
        self.row = "proposed"

    @precondition(lambda self: self.row == "proposed")
    @rule()
    def regenerate(self) -> None:
        self.require(self.ask("regenerate", on="a", peer="b") == "ok", "a cannot mint a new token")
        self.mint(86_400.0)

    @precondition(lambda self: self.row == "proposed")
    @rule()
    def cancel(self) -> None:
        self.require(self.ask("cancel", on="a", peer="b") == "ok", "a cannot cancel")
        self.row = "none"
        for token in self.tokens:
            token.open = False

    @precondition(lambda self: self.tokens)
    @rule(which=st.sampled_from(["latest", "first"]))
    def accept(self, which: str) -> None:
        token = self.tokens[0 if which == "first" else -1]
        opens = self.opens(token)
        before = self.stage.status("a", "b")
        code = self.ask("accept", on="b", peer="a", token=which)
        if self.row == "accepted":
            self.require(code != "impossible", "b has lost its row")
        elif opens:
            self.require(code == "ok", f"a token that is open was answered {code}")
            self.require(self.stage.status("a", "b") in ("accepted", "enrolled", "active"), "a has not accepted")
            self.row, token.open = "accepted", False
        else:
            self.require(code not in ("ok", "no_answer"), f"a token that is not open was answered {code}")
            self.require(self.stage.status("a", "b") == before, f"a token that is not open took the row from {before}")

    @precondition(lambda self: self.tokens and not self.opens(self.tokens[0]))
    @rule()
    def steal(self) -> None:
        """c comes by a token of b that opens nothing any more. (An open one is as good in its hands: a token is a bearer's.)"""
        before = self.stage.status("a", "b")
        code = self.ask("accept", on="c", peer="a", token="first", handed_to="b")
        self.require(code not in ("ok", "no_answer"), f"a token that is not open was answered {code}")
        self.require(self.stage.status("a", "b") == before or self.row == "accepted", "somebody else's attempt moved the row")

    @rule(on=st.sampled_from("ab"))
    def restart(self, on: str) -> None:
        self.perform("restart", on=on)
        self.advance(1.0)

    @rule(seconds=st.sampled_from([1.0, 200.0, 301.0, 1800.0]))
    def wait(self, seconds: float) -> None:
        self.advance(seconds)


@pytest.mark.parametrize("machine", [PeerLife, TokenLife])
def test_a_life_keeps_every_promise(machine: type[FederationMachine]) -> None:
    run_state_machine_as_test(machine, settings=FEW)


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", [PeerLife, TokenLife])
def test_many_lives_keep_every_promise(machine: type[FederationMachine]) -> None:
    run_state_machine_as_test(machine, settings=MANY)


@pytest.mark.parametrize(("machine", "fault"), [(PeerLife, "handlers"), (TokenLife, "single_use")])
def test_a_planted_fault_ends_a_life(machine: type[FederationMachine], fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    PLANTED[fault][0](monkeypatch)
    monkeypatch.setattr(machine, "folder", tmp_path)
    with pytest.raises(AssertionError, match=rf"{fault} at [\s\S]*replay: powernode sim replay"):
        run_state_machine_as_test(machine, settings=FEW)
    assert {failure.checker for failure in run(load(tmp_path / f"{machine.__name__}.toml")).failures} == {fault}
