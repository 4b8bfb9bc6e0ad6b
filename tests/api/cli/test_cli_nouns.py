"""The smaller nouns: operators, findings, status, actors, config, help, completion, version; and commands of other packages."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from runtime.clock import iso
from tests.support.operator_api import PEER_ID, WALL, OperatorApi, Run, granted, lines, listing, peer

OPERATOR_ID = "0190e1c4-2222-7000-8000-000000000003"
OPERATOR = {"id": OPERATOR_ID, "email": "a@example.com", "name": "a", "permissions": ["system.peers.read"], "disabled": False}
FINDING = {
    "kind": "peer_heartbeat_stale",
    "severity": "high",
    "federation_peer_id": PEER_ID,
    "message": "It is silent.",
    "payload": {"silent_s": 301},
    "first_seen_at": iso(WALL - 60),
}


# --- operators ------------------------------------------------------------------------------------------------------


def test_adding_an_operator_takes_the_password_from_standard_input(api: OperatorApi, run: Run) -> None:
    api.answers["create_operator"] = granted({"operator": OPERATOR})
    result = run(
        "operators", "add", "a@example.com", "--permission", "system.peers.read", "--password-file", "-", input="correct horse battery\n"
    )
    assert result.exit_code == 0
    assert "correct horse battery" not in result.output
    assert api.requests[0].body == {
        "email": "a@example.com",
        "name": "a",
        "password": "correct horse battery",
        "permissions": ["system.peers.read"],
    }


def test_a_new_password_is_asked_for_twice(api: OperatorApi, run: Run) -> None:
    api.answers["create_operator"] = granted({"operator": OPERATOR})
    api.interactive = True
    answers = "correct horse battery\ncorrect horse batter\ncorrect horse battery\ncorrect horse battery\n"
    assert run("operators", "add", "a@example.com", "--all-permissions", input=answers).exit_code == 0
    assert "system.operators.manage" in api.requests[0].body["permissions"]


def test_a_password_in_an_argument_is_not_repeated(api: OperatorApi, run: Run) -> None:
    result = run("operators", "add", "a@example.com", "hunter2-hunter2")
    assert result.exit_code == 2
    assert "hunter2" not in result.output


def test_an_operator_is_found_by_email_address(api: OperatorApi, run: Run) -> None:
    api.answers["list_operators"] = listing([OPERATOR])
    api.answers["get_operator"] = granted({"operator": OPERATOR})
    api.answers["update_operator"] = granted({"operator": {**OPERATOR, "disabled": True}})
    assert json.loads(run("operators", "show", "A@example.com", "--json").stdout) == OPERATOR
    assert run("operators", "disable", "a@example.com").exit_code == 0
    assert run("operators", "disable", OPERATOR_ID, "--enable").exit_code == 0
    assert run("operators", "passwd", "a@example.com", "--password-file", "-", input="a new pass phrase").exit_code == 0
    assert [request.body for request in api.named("update_operator")] == [
        {"disabled": True},
        {"disabled": False},
        {"password": "a new pass phrase"},
    ]
    assert run("operators", "show", "b@example.com").exit_code == 4


def test_operators_are_listed(api: OperatorApi, run: Run) -> None:
    api.answers["list_operators"] = listing([{**OPERATOR, "created_at": iso(WALL - 7200)}])
    assert run("operators", "list").stdout.splitlines()[1].split() == [
        OPERATOR_ID, "a@example.com", "a", "no", "2h", "ago", "system.peers.read",
    ]  # fmt: skip


def test_a_token_for_scripts_is_printed_alone_and_not_kept(api: OperatorApi, run: Run, tmp_path: Path) -> None:
    api.answers["login"] = granted({"access_token": "jwt", "refresh_token": "r", "expires_in": 900})
    result = run("operators", "token", "a@example.com", "--password-file", "-", input="correct horse")
    assert result.stdout == "jwt\n"
    assert not (tmp_path / "home/powernode/sessions.json").exists()
    assert run("operators", "token").stdout == "token-of-the-test\n"


# --- findings, status, actors ---------------------------------------------------------------------------------------


def test_findings_come_with_their_remedies(api: OperatorApi, run: Run) -> None:
    api.answers["list_governance_findings"] = listing([FINDING])
    result = run("findings", "list", "--severity", "high", "--kind", "peer_heartbeat_stale", "--peer", PEER_ID)
    assert result.stdout.splitlines() == [
        "SEVERITY  KIND                  PEER                                  FIRST SEEN  MESSAGE",
        f"high      peer_heartbeat_stale  {PEER_ID}  1m ago      It is silent.",
        "",
        f"peer_heartbeat_stale: See whether the peer can be reached with `powernode peers probe {PEER_ID}`.",
    ]
    assert api.requests[0].query == {"severity": "high", "kind": "peer_heartbeat_stale", "peer_id": PEER_ID}
    [row] = lines(run("findings", "list", "--json"))
    assert row["remedy"].endswith(f"`powernode peers probe {PEER_ID}`.")


def test_a_remedy_of_the_daemon_goes_before_ours(api: OperatorApi, run: Run) -> None:
    api.answers["list_governance_findings"] = listing([{**FINDING, "remedy": "Ask Ann."}, {**FINDING, "kind": "of_a_newer_release"}])
    assert [row["remedy"] for row in lines(run("findings", "list", "--json"))] == ["Ask Ann.", ""]


def test_no_findings_is_said(api: OperatorApi, run: Run) -> None:
    api.answers["list_governance_findings"] = listing([])
    assert run("findings", "list").stderr == "no findings\n"


def test_a_finding_that_has_ended_is_open_nowhere_and_can_be_asked_for(api: OperatorApi, run: Run) -> None:
    ended = {**FINDING, "severity": "critical", "kind": "peer_cert_expired", "resolved_at": FINDING["first_seen_at"]}
    api.answers["list_governance_findings"] = listing([FINDING, ended])
    open_ones = run("findings", "list")
    assert ("peer_cert_expired" in open_ones.stdout, open_ones.stderr) == (False, "1 open\n")
    assert [row["kind"] for row in lines(run("findings", "list", "--json"))] == ["peer_heartbeat_stale"]
    resolved = run("findings", "list", "--resolved")
    assert ("peer_cert_expired" in resolved.stdout, "peer_heartbeat_stale" in resolved.stdout, resolved.stderr) == (True, False, "")
    assert [row["kind"] for row in lines(run("findings", "list", "--resolved", "--json"))] == ["peer_cert_expired"]
    api.answers["get_platform_health"] = granted({"status": "ok", "total": 1})
    api.answers["list_peers"] = listing([peer()])
    [document] = lines(run("status", "--json"))
    assert [row["kind"] for row in document["findings"]] == ["peer_heartbeat_stale"]


def test_status_is_one_look_at_everything(api: OperatorApi, run: Run) -> None:
    api.answers["get_platform_health"] = granted({"status": "ok", "total": 2})
    api.answers["list_peers"] = listing([peer(), peer(status="degraded")])
    api.answers["list_governance_findings"] = listing([FINDING])
    result = run("status")
    assert result.stdout.startswith("daemon  http://127.0.0.1:3000\nstatus  ok\ntotal   2\n\nactive    1\ndegraded  1\n\nSEVERITY")
    [document] = lines(run("status", "--json"))
    assert list(document) == ["url", "health", "peers_by_status", "findings"]
    assert document["peers_by_status"] == {"active": 1, "degraded": 1}


def test_an_actor_s_turns_are_a_dense_table(api: OperatorApi, run: Run) -> None:
    turn = {
        "at": "t",
        "message": "Propose",
        "detail": "Propose()",
        "outcome": "saved",
        "effects": ["save", "reply"],
        "draws": 0,
        "version": 1,
    }
    api.answers["get_actor_history"] = granted({"actor": {"kind": "peer", "id": PEER_ID, "turns": [turn]}})
    result = run("actors", "show", f"peer/{PEER_ID}")
    assert result.stdout.splitlines()[-1].split() == ["t", "Propose", "saved", "save,", "reply", "0", "1", "Propose()"]
    assert run("actors", "show", "peer").exit_code == 2


def test_what_is_done_by_itself_is_listed_with_what_its_last_run_met(api: OperatorApi, run: Run) -> None:
    work = {"name": "audit_archive", "cadence": "every day", "does": "Ships.", "next_run_at": iso(WALL + 60), "last_run_at": iso(WALL - 60)}
    api.answers["list_periodic_work"] = listing([{**work, "last_error": "object_changed", "runs": 3}])
    header, row = run("actors", "periodic").stdout.splitlines()
    assert header.split("  ")[0] == "WORK"
    assert row.split() == ["audit_archive", "3", "1m", "ago", "object_changed", iso(WALL + 60), "every", "day"]
    (document,) = lines(run("actors", "periodic", "--json"))
    assert document["does"] == "Ships."


# --- version, config, help, completion ------------------------------------------------------------------------------


def test_version_asks_nobody_unless_told_to(api: OperatorApi, run: Run) -> None:
    assert list(json.loads(run("version", "--json").stdout)) == ["version", "release_tag"]
    assert api.requests == []
    api.answers["list_contract_versions"] = listing([{"version": 1, "supported": True, "contract_digest": "ab"}])
    assert "contract version 1, supported, digest ab" in run("version", "--server").stdout


def test_config_shows_each_value_with_its_source(run: Run, tmp_path: Path) -> None:
    (tmp_path / "powernode.toml").write_text('[server]\nlisten = "0.0.0.0:1"\n')
    (tmp_path / "vault.key").write_bytes(b"never-shown" * 3)
    result = run("config", "show", "--data", str(tmp_path), "--json", env={"POWERNODE_LOG_LEVEL": "debug"})
    rows = {row["key"]: row for row in lines(result)}
    assert rows["server.listen"]["source"] == {"kind": "file", "place": str(tmp_path / "powernode.toml")}
    assert rows["log.level"] == {"key": "log.level", "value": "debug", "source": {"kind": "environment", "place": "POWERNODE_LOG_LEVEL"}}
    assert "never-shown" not in run("config", "show", "--data", str(tmp_path)).output


def test_a_bad_configuration_is_a_usage_error_with_every_problem(run: Run, tmp_path: Path) -> None:
    (tmp_path / "powernode.toml").write_text('[server]\nlisen = "x"\n[log]\nlevel = "loud"\n')
    for command in ("config show", "serve"):
        result = run(*command.split(), "--data", str(tmp_path))
        assert result.exit_code == 2
        assert "did you mean server.listen?" in result.stderr
        assert "problem: log.level" in result.stderr


def test_help_explains_topics_and_commands(run: Run) -> None:
    assert "POWERNODE_URL" in run("help", "connection").stdout
    assert run("help", "peers", "wait").stdout.startswith("Usage: powernode peers wait")
    assert run("help").stdout.startswith("Usage: powernode ")
    assert run("help", "nonsense").exit_code == 2
    assert json.loads(run("help", "secrets", "--json").stdout)["topic"] == "secrets"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_the_shell_s_script(run: Run, shell: str) -> None:
    assert "_POWERNODE_COMPLETE" in run("completion", shell).stdout


# --- commands of other packages -------------------------------------------------------------------------------------


def entry_point(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    points = [importlib.metadata.EntryPoint("orbit", value, "powernode.commands")]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)


def test_another_package_adds_a_command(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    @click.command()
    def orbit() -> None:
        """Go around."""
        click.echo("around")

    monkeypatch.setitem(sys.modules, "orbit_plugin", SimpleNamespace(orbit=orbit))
    entry_point(monkeypatch, "orbit_plugin:orbit")
    assert run("orbit").stdout == "around\n"
    assert "Go around." in run("--help").stdout


def test_a_broken_package_breaks_its_own_command_only(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    entry_point(monkeypatch, "no_such_module:orbit")
    result = run("orbit")
    assert result.exit_code == 1
    assert "no_such_module:orbit, which cannot be imported" in result.stderr
    assert run("version").exit_code == 0
    assert "Cannot be imported from no_such_module." in run("--help").stdout
    entry_point(monkeypatch, "os:getpid")
    assert "is no click command" in run("orbit").stderr


def test_starting_imports_nothing_that_a_command_may_not_need() -> None:
    code = "import sys; from api.cli.root import cli; print(sorted({'trio', 'rich', 'cryptography', 'net', 'ssl'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# --- grants of seats ------------------------------------------------------------------------------------------------------


def test_the_grant_of_a_seat_is_given_back_with_its_subscription(api: OperatorApi, run: Run) -> None:
    held = {"id": OPERATOR_ID, "grant_id": PEER_ID, "resource_kind": "ServiceOffering", "source": "subscription", "usable": True}
    api.answers |= {"get_peer": granted({"peer": peer()}), "list_received_grants": listing([held])}
    assert "subscription" in run("grants", "received", PEER_ID).output
    refused = run("grants", "forget", PEER_ID, OPERATOR_ID, "--yes")
    assert refused.exit_code == 5
    assert f"powernode services cancel {OPERATOR_ID}" in refused.output + refused.stderr
