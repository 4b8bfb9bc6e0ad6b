"""A result that cannot be written: one line and an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.quickstart import Narrator, Site
from net.http_client import JsonReply
from tests.support.daemons import PATIENCE_S
from tests.support.operator_api import OperatorApi, Run

SCENARIO = "scenarios/cancelled.toml"
COMMANDS = {
    "help": ("--help",),
    "version": ("version",),
    "completion": ("completion", "bash"),
    "sim": ("sim", "run", SCENARIO),
    "json": ("version", "--json"),
}


def typed(words: tuple[str, ...], stdout: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "api.cli", *words]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False)


@contextmanager
def full_disk() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@contextmanager
def nobody() -> Iterator[int]:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_output_is_one_line_and_an_exit_code(name: str) -> None:
    with full_disk() as stdout:
        ended = typed(COMMANDS[name], stdout)
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 8
    if "--json" in COMMANDS[name]:
        assert (json.loads(line)["code"], json.loads(line)["exit_code"]) == ("output_failed", 8)
    else:
        assert line == "error: the output could not be written: No space left on device (output_failed)"


@pytest.mark.parametrize("name", ["version", "completion"])
def test_a_reader_that_has_gone_is_told_nothing(name: str) -> None:
    with nobody() as stdout:
        ended = typed(COMMANDS[name], stdout)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_what_can_be_written_is_written_with_the_exit_code_of_the_command() -> None:
    ended = typed(("version",), subprocess.PIPE)
    assert (ended.returncode, ended.stdout.splitlines()[0].partition(" ")[0]) == (0, "powernode")
    assert typed(("peers", "nonsense"), subprocess.PIPE).returncode == 2


def test_any_command_that_is_interrupted_says_so_by_its_exit_code(run: Run, api: OperatorApi, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(OperatorApi, "transport", interrupted)
    result = run("peers", "list")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_the_quickstart_tells_a_cut_secret_as_a_person_reads_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sites = (Site("A", tmp_path), Site("B", tmp_path))
    sent = (sites[0], "POST", "/x", {"bearer_token": "fg-0123456789"}, JsonReply(200, {}, {"data": {"bearer_token": "fg-0123456789"}}))
    Narrator(as_json=False).step("title", "why", [sent], sites)
    told = capsys.readouterr().out
    assert '{"bearer_token": "fg-012…"}' in told
