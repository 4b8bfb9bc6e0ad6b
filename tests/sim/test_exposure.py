"""Secrets are searched for in what leaves a platform by other ways than its doors: its log, its flight recording, the page of a trace."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import actors.peer.minting
import runtime.recording
from runtime.secret import Secret
from sim.cli import sim
from sim.exposure import listening
from sim.scenario.load import load
from sim.scenario.run import Result, run
from sim.trace.events import TraceEvent
from sim.trace.film import Film
from sim.trace.page import render

SCENARIOS = Path(__file__).parent.parent.parent / "scenarios"
HAPPY = SCENARIOS / "happy-path.toml"
BEARING = ("happy-path", "invitation", "stolen-bearer", "former-bearer", "grant-received-and-used", "service-subscribed-and-served")
"""Scenarios in which tokens, invitations and bearers pass from hand to hand."""


def play(name: str = "happy-path", **more: Any) -> Result:
    return run(load(SCENARIOS / f"{name}.toml"), explain=False, **more)


def secrecy(result: Result) -> str:
    (failure,) = result.failures
    assert failure.checker == "secrecy"
    return failure.text


def test_a_token_in_a_line_of_the_log_is_found_even_if_it_was_written_before_the_token_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    former = Secret.reveal

    def reveal(self: Secret) -> str:
        logging.getLogger("powernode.door").info("reading %s", found := former(self))
        return found

    monkeypatch.setattr(Secret, "reveal", reveal)
    assert "a line of the log holds a token" in secrecy(play())


def test_a_key_in_an_extra_of_the_log_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*given: Any) -> Any:
        logging.getLogger("powernode.engine").warning("odd", extra={"key": "-----BEGIN PRIVATE KEY-----"})
        return former(*given)

    former = actors.peer.minting.redeem_fault
    monkeypatch.setattr(actors.peer.minting, "redeem_fault", fault)
    assert "a line of the log holds a private key" in secrecy(play())


def test_a_recording_that_replaces_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert play().passed
    monkeypatch.setattr(runtime.recording.Disguise, "text", lambda self, value: value)
    monkeypatch.setattr(runtime.recording.Encoder, "_disguised", lambda self, plain: plain)
    monkeypatch.setattr(runtime.recording, "_base64", lambda plain: plain.decode("latin-1"))
    assert "the flight recording holds a token" in secrecy(play())


def test_a_page_that_would_tell_a_token_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    former = TraceEvent.document

    def document(self: TraceEvent) -> Any:
        token = getattr(self.message, "acceptance_token", None) or getattr(self.message, "token", None)
        return {**former(self), "what": token.reveal() if isinstance(token, Secret) else self.what}

    monkeypatch.setattr(TraceEvent, "document", document)
    out = tmp_path / "page.html"
    found = CliRunner().invoke(sim, ["trace", str(HAPPY), "--html", str(out)])
    assert found.exit_code == 1
    assert "a token in plaintext" in found.output
    assert not out.exists()


@pytest.mark.parametrize("name", BEARING)
def test_logs_recordings_and_pages_of_scenarios_with_secrets_hold_none(name: str) -> None:
    scenario, film = load(SCENARIOS / f"{name}.toml"), Film()
    result = run(scenario, tracer=film.tracer, staged=film.staged)
    assert result.passed, result.failures
    assert film.flaw_in(render(scenario, film.finished(result))) is None
    assert film.flaw_in("-----BEGIN PRIVATE KEY-----") is not None


class Ears:
    """Whoever watches, with a clock."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def logged(self, line: str) -> None:
        self.lines.append(line)

    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 1.9e9


def test_listening_changes_nothing_for_others(caplog: pytest.LogCaptureFixture) -> None:
    outer, inner = Ears(), Ears()
    with listening(outer, outer), listening(inner, inner):  # type: ignore[arg-type]
        logging.getLogger("powernode.engine").info("quiet")
        logging.getLogger("powernode.engine").error("loud")
    logging.getLogger("powernode.engine").error("after")
    assert [record.message for record in caplog.records] == ["loud", "after"]
    assert len(outer.lines) == len(inner.lines) == 2
