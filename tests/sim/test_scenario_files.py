"""The reading of scenario files, the commands, and the reference in the documentation."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from click.testing import CliRunner, Result

from api.cli.root import cli
from sim.cli import sim
from sim.scenario.actions.registry import ACTIONS
from sim.scenario.expectations import EXPECTATIONS
from sim.scenario.json_schema import json_schema
from sim.scenario.load import ScenarioError, load, parse
from sim.scenario.reference import reference, shipped

ROOT = Path(__file__).parent.parent.parent
HAPPY = ROOT / "scenarios/happy-path.toml"
GOOD = """\
name = "small"
description = "One proposal."

[world]
for = "1m"

[[platform]]
name = "a"

[[platform]]
name = "b"

[[at]]
t = "1s"
do = "propose"
on = "a"
peer = "b"
name = "first"

[[expect]]
that = "status"
on = "a"
peer = "b"
is = "proposed"
"""
POISON = 'do = "poison"\n{} = "{}"\non = "a"'
STATUS = 'that = "status"\non = "a"\npeer = "b"\nis = "proposed"'
CODE = 'that = "code"\ncall = "first"\nis = "{}"'
EMPTY = 'that = "always"\non = "a"\npeer = "b"\nis = []'


def problems(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ScenarioError) as caught:
        parse(text, "x.toml")
    return [(problem.line, problem.key, problem.text) for problem in caught.value.problems]


def call(*words: str) -> Result:
    return CliRunner().invoke(sim, words)


def test_the_small_file_is_good() -> None:
    scenario = parse(GOOD, "x.toml")
    assert [step.do for step in scenario.steps] == ["propose"]
    assert [step.line for step in scenario.steps] == [13]


@pytest.mark.parametrize(
    ("former", "wrong", "line", "key", "text"),
    [
        ('do = "propose"', 'do = "propse"', 15, "at.do", "'propse' is no action; did you mean 'propose'?"),
        ('do = "propose"\n', "", 13, "at.do", "is missing"),
        ('peer = "b"\nname', 'pear = "b"\nname', 17, "at.pear", "'pear' is no key of at; did you mean 'peer'?"),
        ('peer = "b"\nname', 'peer = "bb"\nname', 17, "at.peer", "'bb' is no platform of this file; did you mean 'b'?"),
        ('on = "a"\npeer = "b"\nname', 'peer = "b"\nname', 13, "at.on", "is missing"),
        ('t = "1s"', 't = "1 fortnight"', 14, "at.t", "'1 fortnight' is no duration; write"),
        ('t = "1s"', 't = "2m"', 13, "at.t", "120 s is after the end of the world at 60 s"),
        ('for = "1m"', 'four = "1m"', 5, "world.four", "'four' is no key of world; did you mean 'for'?"),
        ('for = "1m"', 'for = "1m"\nlevel = "packets"', 6, "world.level", "'packets' is no known value"),
        ('for = "1m"', 'for = "1m"\nseed = 1.5', 6, "world.seed", "must be a whole number"),
        ('name = "b"', 'name = "b"\nheartbeat_intervall = "5s"', 12, "platform.heartbeat_intervall", "did you mean 'heartbeat_interval'?"),
        ('name = "b"', 'name = "b"\nheartbeat_eager = "no"', 12, "platform.heartbeat_eager", "must be true or false"),
        ('name = "b"', 'name = "a"', 11, "platform.name", "'a' is there already"),
        ('name = "b"', 'name = "B!"', 11, "platform.name", "must be lower-case letters, digits and hyphens"),
        ("[[at]]", '[[link]]\nbetween = ["a"]\n\n[[at]]', 14, "link.between", "must be two different platforms"),
        ("[[at]]", '[[link]]\nbetween = ["a", "b"]\nloss = 2\n\n[[at]]', 15, "link.loss", "must be between 0 (never) and 1 (always)"),
        ("[[at]]", '[[link]]\nbetween = ["a", "b"]\nlatency = [2, 1]\n\n[[at]]', 15, "link.latency", "must name the lesser duration first"),
        ("[[at]]", "[[att]]", 13, "att", "'att' is no key of a scenario; did you mean 'at'?"),
        ('peer = "b"\nname', 'peer = "a"\nname', 17, "at.peer", "is the platform itself"),
        (STATUS, CODE.format("okk"), 23, "expect.is", "'okk' is no answer to 'first'; did you mean 'ok'?"),
        (STATUS, CODE.format("completed"), 23, "expect.is", "'completed' is no answer to 'first'"),
        ('that = "status"', 'that = "state"', 21, "expect.that", "'state' is no expectation; did you mean 'status'?"),
        ('is = "proposed"', 'is = "acepted"', 24, "expect.is", "'acepted' is no known value; did you mean 'accepted'?"),
        ('is = "proposed"', 'is = "proposed"\nt = "61s"', 20, "expect.t", "61 s is after the end of the world"),
        ('do = "propose"\non = "a"\npeer = "b"', 'do = "crash"\non = "a"', 17, "at.name", "'crash' is no call of an operator"),
        ('description = "One proposal."', 'description = ""', 2, "description", "must be a text that is not empty"),
        ('description = "One proposal."', 'description = "\\u001b[31m"', 2, "description", r"must hold no '\x1b'"),
        ('name = "first"', 'name = "fir\\u202est"', 18, "at.name", r"must hold no '\u202e'"),
        ('name = "b"', 'name = "b"\n"\\u001b[2J" = 1', 10, r"platform.\x1b[2J", "is no key of platform"),
        ('for = "1m"', "for = ", 5, "TOML", "Invalid value"),
        ('for = "1m"', f"for = {'9' * 5_000}", 5, "TOML", "a number of so many digits is none that any key takes"),
        ('for = "1m"', f"for = {'[' * 5_000}{']' * 5_000}", 1, "TOML", "tables and arrays within one another are too many"),
        ('name = "b"', 'name = "b"\nclock_drift = -1', 12, "platform.clock_drift", "must be more than -1"),
        ('name = "b"', 'name = "b"\nclock_offset = "-9999d"', 12, "platform.clock_offset", "must be at most 7300d"),
        ('name = "b"', 'name = "b"\nheartbeat_interval = 0', 12, "platform.heartbeat_interval", "must be more than nothing"),
        ('name = "b"', 'name = "a2"\n\n[[platform]]\nname = "a"\ncount = 2', 14, "platform.name", "'a2' is there already"),
        ('that = "status"\non = "a"\npeer = "b"\nis = "proposed"', EMPTY, 24, "expect.is", "must name at least one status"),
        ('do = "propose"\non = "a"\npeer = "b"\nname = "first"', POISON.format("kind", "peeer"), 16, "at.kind", "did you mean 'peer'?"),
        ('do = "propose"\non = "a"\npeer = "b"\nname = "first"', POISON.format("message", "Propse"), 16, "at.message", "mean 'Propose'?"),
        ('do = "propose"\non = "a"\npeer = "b"\nname = "first"', 'do = "slow_ports"\non = "a"\nby = "11s"', 17, "at.by", "at most 10s"),
    ],
)
def test_a_problem_is_told_with_its_line_its_key_and_the_nearest_word(former: str, wrong: str, line: int, key: str, text: str) -> None:
    assert former in GOOD
    found = problems(GOOD.replace(former, wrong, 1))
    assert any(each[:2] == (line, key) and text in each[2] for each in found), found


def test_all_problems_are_told_at_once() -> None:
    text = GOOD.replace('do = "propose"', 'do = "propse"').replace('is = "proposed"', 'is = "x"').replace("\nfor", "\nfour")
    assert [each[:2] for each in problems(text)] == [(4, "world.for"), (5, "world.four"), (15, "at.do"), (24, "expect.is")]


def test_keys_in_a_description_are_no_keys() -> None:
    text = GOOD.replace('"One proposal."', '"""\n[world]\nfor = 7\n"""').replace('for = "1m"', "for = true")
    assert [each[:2] for each in problems(text)] == [(8, "world.for")]


def test_a_call_that_only_looks_has_answers_of_its_own() -> None:
    looks = GOOD.replace('do = "propose"\non = "a"\npeer = "b"', 'do = "look_migration"\non = "a"')
    assert parse(looks.replace(STATUS, CODE.format("in_doubt")), "x.toml").expected
    assert "did you mean 'completed'?" in problems(looks.replace(STATUS, CODE.format("complete")))[0][2]


def test_a_name_that_no_step_has() -> None:
    text = GOOD.replace('that = "status"\non = "a"\npeer = "b"\nis = "proposed"', 'that = "code"\ncall = "frist"\nis = "ok"')
    assert problems(text) == [(22, "expect.call", "'frist' is no named step of this file; did you mean 'first'?")]


# --- commands -------------------------------------------------------------------------------------------------------


def test_the_command_line_knows_the_group() -> None:
    result = CliRunner().invoke(cli, ["sim", "check", str(HAPPY)])
    assert (result.exit_code, result.stderr) == (0, "1 file without problems\n")


def test_run_shows_every_seed(tmp_path: Path) -> None:
    result = call("run", str(HAPPY), "--seed", "5", "--seeds", "2", "--json")
    *documents, summary = [json.loads(line) for line in result.stdout.splitlines()]
    assert summary["runs"] == 2
    assert [(each["seed"], each["passed"], each["failures"]) for each in documents] == [(5, True, []), (6, True, [])]
    assert "2 seeds run, 0 failed" in result.stderr
    assert result.exit_code == 0


def test_a_failed_run_tells_how_to_replay_it(tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(GOOD.replace('is = "proposed"', 'is = "active"'), encoding="utf-8")
    result = call("run", str(file), "--seed", "9")
    assert result.exit_code == 1
    assert f"status at 60.000 s (seed 9): {file}:20: b on a is proposed and not active at 60 s" in result.stdout
    assert "a operator first: ok" in result.stdout
    assert f"replay: powernode sim replay {file} --seed 9" in result.stdout
    assert "1 seed run, 1 failed" in result.stderr


def test_replay_prints_what_happens_and_the_digest_of_the_run() -> None:
    digest = json.loads(call("run", str(HAPPY), "--seed", "3", "--json").stdout.splitlines()[0])["digest"]
    whole = call("replay", str(HAPPY), "--seed", "3")
    assert whole.stdout.splitlines()[-1] == f"digest {digest}"
    assert "b > a call POST /federation_api/accept" in whole.stdout
    part = call("replay", str(HAPPY), "--seed", "3", "--until", "59s")
    assert part.exit_code == 0
    assert "a operator a proposes b: ok" in part.stdout
    assert "/federation_api/accept" not in part.stdout
    assert call("replay", str(HAPPY), "--seed", "3", "--until", "soon").exit_code == 2


def test_a_replay_says_passed_only_of_what_has_been_judged() -> None:
    def outcome(*until: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(call("replay", str(HAPPY), "--json", *until).stdout.splitlines()[-1])
        return told

    whole = outcome()
    assert whole["passed"] is True
    assert outcome("--until", "59s")["passed"] is None
    later = outcome("--until", "9h")
    assert (later["passed"], later["digest"]) == (True, whole["digest"])


def test_check_tells_the_problems_of_all_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(GOOD.replace("propose", "propse", 1), encoding="utf-8")
    result = call("check", str(tmp_path / "one.toml"), str(tmp_path / "two.toml"), str(HAPPY))
    assert result.exit_code == 2
    assert result.stderr.count(":15: at.do: 'propse' is no action; did you mean 'propose'?") == 2
    assert "Usage" not in result.stderr


@pytest.mark.parametrize("command", [["run"], ["audit"], ["compare"], ["list", "--folder"], ["explore", "--runs", "1", "--folder"]])
def test_whoever_reads_many_files_tells_the_problems_of_all_and_runs_none(tmp_path: Path, command: list[str]) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.toml").write_text(GOOD.replace("propose", "propse", 1), encoding="utf-8")
    (folder / "good.toml").write_text(GOOD, encoding="utf-8")
    corpus = ["--corpus", str(tmp_path / "corpus")] if command[0] == "explore" else []
    result = call(*command, str(folder), *corpus)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count(":15: at.do: 'propse' is no action; did you mean 'propose'?") == 2


def test_check_reads_a_folder_and_tells_machines(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(GOOD.replace("propose", "propse", 1), encoding="utf-8")
    (tmp_path / "good.toml").write_text(GOOD, encoding="utf-8")
    result = call("check", "--json", str(tmp_path))
    assert result.exit_code == 2
    bad, good = map(json.loads, result.stdout.splitlines())
    assert [(each["line"], each["key"]) for each in bad["problems"]] == [(15, "at.do")]
    assert good == {"file": str(tmp_path / "good.toml"), "problems": []}


def test_list_names_every_file() -> None:
    result = call("list", "--folder", str(ROOT / "scenarios"), "--json")
    listed = {Path(json.loads(line)["file"]).name for line in result.stdout.splitlines()}
    assert listed == {file.name for file in (ROOT / "scenarios").glob("*.toml")}


def test_list_tells_what_a_run_costs(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "year.toml").write_text(GOOD.replace('for = "1m"', 'for = "365d"'), encoding="utf-8")
    listed = [json.loads(line) for line in call("list", "--folder", str(tmp_path), "--json").stdout.splitlines()]
    assert [each["cost"] for each in listed] == ["quick", "day"]
    (tmp_path / "year.toml").unlink()
    (timed,) = (json.loads(line) for line in call("list", "--folder", str(tmp_path), "--json", "--time").stdout.splitlines())
    assert timed["seconds_per_run"] > 0


# --- documentation --------------------------------------------------------------------------------------------------


def test_the_documentation_holds_the_reference_as_the_program_knows_it() -> None:
    page = (ROOT / "docs/scenario-reference.md").read_text("utf-8")
    assert page == reference(), "print it with `python -m sim.scenario.reference`"
    assert all(f"| `{word}` |" in page for word in (*ACTIONS, *EXPECTATIONS))


def test_the_documentation_lists_every_shipped_scenario_and_command() -> None:
    listed = (ROOT / "scenarios/README.md").read_text("utf-8")
    assert listed == shipped(ROOT / "scenarios"), "print it with `python -m sim.scenario.reference scenarios`"
    page = (ROOT / "docs/scenarios.md").read_text("utf-8")
    assert all(f"powernode sim {name}" in page for name in sim.commands)


def test_the_schema_for_editors_is_the_one_that_the_program_prints() -> None:
    assert call("schema").stdout == (ROOT / "scenarios/scenario.schema.json").read_text("utf-8"), "print it with `powernode sim schema`"


def test_every_shipped_scenario_fits_the_schema_and_mistakes_do_not() -> None:
    valid = jsonschema_rs.validator_for(json_schema()).is_valid
    for file in (ROOT / "scenarios").glob("*.toml"):
        assert valid(tomllib.loads(file.read_text("utf-8"))), file
    for former, wrong in (
        ('do = "propose"', 'do = "propse"'),
        ('peer = "b"\nname', 'pear = "b"\nname'),
        ('for = "1m"', "for = true"),
        ('is = "proposed"', 'is = "acepted"'),
        ("[[at]]", "[[att]]"),
        ('name = "b"', 'name = "b"\nnat = 7'),
    ):
        assert not valid(tomllib.loads(GOOD.replace(former, wrong, 1))), wrong


def test_every_action_is_used_by_a_shipped_scenario() -> None:
    used = {step.do for file in (ROOT / "scenarios").glob("*.toml") for step in load(file).steps}
    # Recordings belong to the program that made them; `tests/e2e/test_record_and_replay.py` makes and plays one.
    assert used == {word for word in ACTIONS if not word.startswith("recorded_")}
