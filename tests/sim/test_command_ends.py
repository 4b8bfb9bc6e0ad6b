"""How commands end that somebody ends, or that are asked for what would do harm."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sim.cli import sim as simulator

HAPPY = str(Path(__file__).parent.parent.parent / "scenarios" / "happy-path.toml")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BaseExceptionGroup("a nursery", [KeyboardInterrupt()])], ids=["plain", "wrapped"])
@pytest.mark.parametrize("command", ["audit", "compare"])
def test_an_interrupt_is_no_broken_promise(command: str, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any, **more: Any) -> Any:
        raise error

    monkeypatch.setattr(f"sim.commands.{command}.{command}", interrupted)
    result = CliRunner().invoke(simulator, [command, HAPPY])
    assert result.exit_code == 130
    assert result.stderr == "interrupted\n"


def test_what_goes_wrong_in_a_nursery_is_no_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any, **more: Any) -> Any:
        raise BaseExceptionGroup("a nursery", [ValueError("wrong")])

    monkeypatch.setattr("sim.commands.audit.audit", broken)
    assert isinstance(CliRunner().invoke(simulator, ["audit", HAPPY]).exception, BaseExceptionGroup)


def test_a_shrunk_scenario_never_takes_the_place_of_the_one_that_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "failing.toml"
    file.write_text(Path(HAPPY).read_text(encoding="utf-8"), encoding="utf-8")
    result = CliRunner().invoke(simulator, ["shrink", str(file), "--out", str(tmp_path / "." / "failing.toml")])
    assert result.exit_code == 2
    assert "would be lost" in result.stderr


FAILING = """
name = "never"
description = "Nobody is active at once."

[world]
for = "1m"

[[platform]]
name = "a"

[[platform]]
name = "b"

[[at]]
t = "0s"
do = "propose"
on = "a"
peer = "b"

[[expect]]
that = "eventually"
on = "a"
peer = "b"
is = "active"
within = "1s"
"""


@pytest.mark.parametrize("command", [["trace", "--html"], ["shrink", "--out"]], ids=lambda command: command[0])
def test_a_result_that_its_file_does_not_take_is_one_sentence(command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "failing.toml"
    file.write_text(FAILING, encoding="utf-8")
    result = CliRunner().invoke(simulator, [command[0], str(file), command[1], "/dev/full"])
    assert result.exit_code == 8
    assert result.stderr.splitlines()[-1] == "error: /dev/full could not be written: No space left on device (output_failed)"
    told = CliRunner().invoke(simulator, [command[0], str(file), command[1], "/dev/full", "--json"])
    assert (told.exit_code, json.loads(told.stderr.splitlines()[-1])["code"]) == (8, "output_failed")


@pytest.mark.parametrize("corpus", ["file", "file/below"])
def test_a_corpus_that_can_be_no_folder_is_one_sentence(corpus: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "none").mkdir()
    result = CliRunner().invoke(
        simulator, ["explore", "--runs", "1", "--folder", str(tmp_path / "none"), "--corpus", str(tmp_path / corpus)]
    )  # fmt: skip
    assert result.exit_code == (2 if corpus == "file" else 8)
    assert str(tmp_path / corpus) in result.stderr
    assert len(result.stderr.splitlines()) <= 4


def test_a_corpus_that_takes_no_more_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    result = explored(tmp_path)
    assert result.exit_code == 8
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"error: {tmp_path}/corpus/")
    assert last.endswith("could not be written: No space left on device (output_failed)")


def test_a_search_that_somebody_ends_has_not_come_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("sim.explore.try_one", interrupted)
    result = explored(tmp_path)
    assert result.exit_code == 130
    assert result.stdout.startswith("0 runs in ")
    assert (tmp_path / "corpus" / "state.json").is_file()


def explored(tmp_path: Path) -> Result:
    """A search of one document, from no files, with its corpus in the folder `corpus`."""
    (tmp_path / "none").mkdir()
    return CliRunner().invoke(
        simulator, ["explore", "--runs", "1", "--jobs", "1", "--folder", str(tmp_path / "none"), "--corpus", str(tmp_path / "corpus")]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["run", HAPPY, "--minutes", "nan"], "nan is no time"),
        (["run", HAPPY, "--minutes", "inf"], "inf is no time"),
        (["explore", "--budget", "0s"], "0s leaves no time for a single run"),
    ],
    ids=lambda given: given[-1] if isinstance(given, list) else "",
)
def test_a_sweep_of_nothing_is_refused(command: list[str], words: str) -> None:
    result = CliRunner().invoke(simulator, command)
    assert (result.exit_code, words in result.stderr) == (2, True), result.output


def test_a_shrunk_file_names_no_line_of_another_and_tells_the_failure_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "failing.toml").write_text(FAILING, encoding="utf-8")
    result = CliRunner().invoke(simulator, ["shrink", str(tmp_path / "failing.toml")])
    written = (tmp_path / "failing.min.toml").read_text("utf-8")
    sentence = "b on a never is active from 0 s to 1 s, only proposed"
    assert f"#   {sentence}\n" in written
    assert f'description = "Fails by eventually: {sentence}"\n' in written
    assert "failing.toml:" not in written + result.stdout
    assert "1 step became 1 in " in result.stdout


def test_a_bar_makes_room_for_what_is_printed(tmp_path: Path) -> None:
    """On a terminal the lines of a failure begin where lines begin, and not behind the bar."""
    (tmp_path / "failing.toml").write_text(FAILING, encoding="utf-8")
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "api.cli", "sim", "run", str(tmp_path / "failing.toml"), "--seeds", "5", "--jobs", "1"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    ) as run:
        os.close(theirs)
        told = b"".join(iter(lambda: read(ours), b"")).decode()
    os.close(ours)
    assert run.returncode == 1
    assert "5 failed" in told
    assert "%" in told  # A bar was there.
    before = [line.rpartition("FAILED")[0] for line in told.replace("\r", "\n").splitlines() if "FAILED" in line]
    assert len(before) == 6
    assert [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", each) for each in before] == [""] * 6


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:
        # What Linux says of a terminal that nobody has open any more.
        return b""


DEEP = "[" * 100_000


def test_a_recording_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "flight.json").write_text(DEEP, encoding="utf-8")
    result = CliRunner().invoke(simulator, ["record", "--data", str(tmp_path), "--out", str(tmp_path / "out.toml")])
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path}/flight.json is no recording\n")


def test_settings_that_are_none_do_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "recorded.toml"
    step = f'[[at]]\nt = 0\ndo = "recorded_settings"\non = "a"\nsettings = "{DEEP}"\n'
    world = 'name = "x"\ndescription = "y"\n[world]\nfor = 1\n[[platform]]\nname = "a"\nlevel = "recorded"\n'
    file.write_text(world + step, encoding="utf-8")
    result = CliRunner().invoke(simulator, ["run", str(file)])
    assert result.exit_code == 1
    assert "recorded_settings: the recording does not fit this program: it is nested too deeply\n" in result.stdout


def test_a_list_of_nothing_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(simulator, ["list", "--folder", str(tmp_path)])
    assert (result.exit_code, f"there are no scenario files in {tmp_path}" in result.stderr) == (2, True)


@pytest.mark.parametrize("asked", ["", "  ", "..."])
def test_no_words_are_no_event(asked: str) -> None:
    result = CliRunner().invoke(simulator, ["replay", HAPPY, "--around", asked])
    assert (result.exit_code, f"no event of this run is {asked!r}" in result.stderr) == (2, True)
