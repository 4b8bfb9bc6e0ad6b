"""Exit codes, advice, and the ways to a token."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import click
import pytest

from actors.door import routes
from api.cli.failures import ADVICE, EXIT_MEANINGS, Exit, exit_for
from api.cli.root import COMMANDS, cli
from tests.support.operator_api import PEER_ID, OperatorApi, Run, TransportFailed, granted, listing, peer, refused, runner

SESSION = {"access_token": "access-1", "refresh_token": "refresh-1", "token_type": "Bearer", "expires_in": 900, "operator": {}}
RENEWED = {**SESSION, "access_token": "access-2", "refresh_token": "refresh-2"}


# --- Exit codes and advice ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refused(400, "invalid_parameter"), 1),
        (refused(401, "unauthenticated"), 3),
        (refused(403, "forbidden"), 3),
        (refused(404, "not_found"), 4),
        (refused(404, "peer_not_found"), 4),
        (refused(409, "peer_suspended"), 5),
        (refused(422, "invalid_transition"), 1),
        (refused(429, "rate_limited"), 1),
        (refused(500, "internal_error"), 1),
        (refused(502, "remote_unreachable"), 6),
        (refused(502, "remote_rejected"), 1),
        (refused(503, "unavailable"), 6),
        (refused(504, "remote_timeout"), 6),
        (TransportFailed("unreachable", "connection refused"), 6),
        (TransportFailed("timeout", "no answer"), 6),
        (TransportFailed("untrusted", "unknown CA"), 6),
        (TransportFailed("not_json", "html"), 1),
    ],
)
def test_the_exit_code_tells_what_kind_of_failure_it_was(api: OperatorApi, run: Run, answer: object, code: int) -> None:
    api.answers["get_peer"] = answer
    result = run("peers", "show", PEER_ID)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("error: ")
    if getattr(answer, "status", 0) not in (400, 502):
        assert "\nnext:  " in result.stderr


def test_a_failure_in_json_is_one_object_on_standard_error(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = refused(404, "not_found", "no such peer", peer_id=PEER_ID)
    result = run("peers", "show", PEER_ID, "--json")
    assert result.stdout == ""
    assert json.loads(result.stderr) == {
        "error": "no such peer",
        "code": "not_found",
        "exit_code": 4,
        "advice": ADVICE["not_found"],
        "details": {"peer_id": PEER_ID},
        "request_id": "request-1",
        "retry_after_s": None,
    }


def test_a_usage_error_in_json_is_an_object_too(run: Run) -> None:
    result = run("peers", "update", PEER_ID, "--json")
    assert (result.exit_code, json.loads(result.stderr)["code"]) == (2, "usage")


def test_all_problems_of_a_body_are_told(api: OperatorApi, run: Run) -> None:
    problems = [
        {"field": "endpoints[0].url", "code": "invalid_endpoint", "message": "must be https"},
        {"field": "x", "message": "is wrong"},
    ]
    api.answers["get_peer"] = refused(422, "invalid_endpoint", problems=problems)
    result = run("peers", "show", PEER_ID)
    assert "  problem: endpoints[0].url: must be https\n  problem: x: is wrong\n" in result.stderr


def test_every_code_that_is_advised_on_exists() -> None:
    own = {"not_logged_in", "login_failed", "peer_ambiguous"}
    daemons = {code for code in ADVICE if code.startswith("daemon_")}
    documented = {code for route in routes.ROUTES for codes in routes.errors_of(route).values() for code in codes}
    from_remote = {"remote_rate_limited", "ca_unavailable", "vault_unavailable"}
    assert set(ADVICE) <= own | daemons | documented | from_remote


def test_advice_names_commands_that_exist() -> None:
    for advice in ADVICE.values():
        for line in re.findall(r"`powernode ([^`]+)`", advice):
            command: click.Command | None = cli
            words = line.split()
            while isinstance(command, click.Group):
                command = command.get_command(click.Context(cli), words.pop(0))
            assert command is not None, line


def test_every_exit_code_has_a_meaning_that_help_prints(run: Run) -> None:
    assert set(EXIT_MEANINGS) == set(Exit)
    assert run("help", "exit-codes").stdout.splitlines()[7].startswith("7  ")


def test_unknown_codes_fall_back_to_their_status() -> None:
    assert exit_for(418, "teapot") is Exit.FAILURE
    assert exit_for(409, "anything") is Exit.CONFLICT


# --- The table of commands ------------------------------------------------------------------------------------------


def every_command(command: click.Command, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        return [(words, command)]
    context = click.Context(command)
    children = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    return [found for name, child in children if child is not None for found in every_command(child, (*words, name))]


OWN = [(words, command) for words, command in every_command(cli) if words[0] in COMMANDS]


@pytest.mark.parametrize(("words", "command"), OWN, ids=[" ".join(words) for words, _ in OWN])
def test_every_command_has_json_and_help(words: tuple[str, ...], command: click.Command) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options
    assert command.help
    assert command.get_help(click.Context(command))
    names = [parameter.name for parameter in command.params]
    assert len(names) == len(set(names))


def test_short_help_of_a_lazy_command_is_that_of_the_command() -> None:
    for name, (_, short) in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert command.help is not None
        assert command.help.startswith(short.rstrip(".")) or isinstance(command, click.Group)


# --- Tokens and sessions --------------------------------------------------------------------------------------------


def test_the_token_file_goes_before_the_environment(api: OperatorApi, run: Run, tmp_path: Path) -> None:
    api.answers["list_peers"] = listing([])
    file = tmp_path / "token"
    file.write_text("from-file\n")
    run("peers", "list")
    run("peers", "list", "--token-file", str(file))
    run("peers", "list", "--token-file", "-", input="from-input\n")
    assert [request.headers["authorization"] for request in api.requests] == [
        "Bearer token-of-the-test",
        "Bearer from-file",
        "Bearer from-input",
    ]


def test_without_any_token_the_way_in_is_told(api: OperatorApi, tmp_path: Path) -> None:
    result = runner(api, tmp_path, token=None)("peers", "list")
    assert result.exit_code == 3
    assert "powernode login" in result.stderr
    assert api.requests == []


def logged_in(api: OperatorApi, home: Path) -> Run:
    api.answers["login"] = granted(SESSION)
    run = runner(api, home, token=None)
    result = run("login", "a@example.com", "--password-file", "-", input="correct horse\n")
    assert result.stdout == "logged in as a@example.com at http://127.0.0.1:3000\n"
    return run


def test_a_login_is_kept_for_its_owner_alone(api: OperatorApi, tmp_path: Path) -> None:
    run = logged_in(api, tmp_path)
    assert api.requests[0].body == {"email": "a@example.com", "password": "correct horse"}
    folder = tmp_path / "powernode"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "sessions.json").stat().st_mode) == 0o600
    assert "correct horse" not in (folder / "sessions.json").read_text()
    api.answers["list_peers"] = listing([])
    assert run("peers", "list").exit_code == 0
    assert api.requests[-1].headers["authorization"] == "Bearer access-1"


def test_a_session_of_one_daemon_is_not_shown_to_another(api: OperatorApi, tmp_path: Path) -> None:
    run = logged_in(api, tmp_path)
    assert run("peers", "list", "--url", "http://127.0.0.1:9999").exit_code == 3
    assert len(api.requests) == 1


def test_a_password_is_asked_for_at_a_terminal(api: OperatorApi, tmp_path: Path) -> None:
    api.answers["login"] = granted(SESSION)
    api.interactive = True
    result = runner(api, tmp_path, token=None)("login", input="a@example.com\ncorrect horse\n")
    assert result.exit_code == 0
    assert "correct horse" not in result.output


def test_a_refused_access_token_is_renewed_once(api: OperatorApi, tmp_path: Path) -> None:
    run = logged_in(api, tmp_path)
    api.answers["refresh"] = granted(RENEWED)
    api.answers["list_peers"] = [refused(401, "unauthenticated"), listing([peer()])]
    assert run("peers", "list").exit_code == 0
    assert [request.name for request in api.requests] == ["login", "list_peers", "refresh", "list_peers"]
    assert api.requests[2].body == {"refresh_token": "refresh-1"}
    assert api.requests[3].headers["authorization"] == "Bearer access-2"
    assert "refresh-2" in (tmp_path / "powernode/sessions.json").read_text()


def test_a_session_about_to_end_is_renewed_first(api: OperatorApi, tmp_path: Path) -> None:
    api.answers["login"] = granted({**SESSION, "expires_in": 10})
    run = runner(api, tmp_path, token=None)
    run("login", "a@example.com", "--password-file", "-", input="correct horse")
    api.answers["refresh"] = granted(RENEWED)
    api.answers["list_peers"] = listing([])
    assert run("peers", "list").exit_code == 0
    assert [request.name for request in api.requests] == ["login", "refresh", "list_peers"]


def test_an_ended_session_is_forgotten(api: OperatorApi, tmp_path: Path) -> None:
    run = logged_in(api, tmp_path)
    api.answers["refresh"] = refused(401, "invalid_refresh_token")
    api.answers["list_peers"] = refused(401, "unauthenticated")
    result = run("peers", "list")
    assert result.exit_code == 3
    assert "powernode login" in result.stderr
    assert "refresh-1" not in (tmp_path / "powernode/sessions.json").read_text()


def test_a_given_token_is_never_renewed(api: OperatorApi, run: Run) -> None:
    api.answers["list_peers"] = refused(401, "unauthenticated")
    assert run("peers", "list").exit_code == 3
    assert len(api.requests) == 1


def test_a_wrong_password_says_so(api: OperatorApi, tmp_path: Path) -> None:
    api.answers["login"] = refused(401, "invalid_credentials")
    result = runner(api, tmp_path, token=None)("login", "a@example.com", "--password-file", "-", input="wrong one")
    assert result.exit_code == 3
    assert "login_failed" in result.stderr
    assert "wrong one" not in result.output


def test_logging_out_ends_and_forgets_the_session(api: OperatorApi, tmp_path: Path) -> None:
    run = logged_in(api, tmp_path)
    api.answers["logout"] = granted({"logged_out": True})
    assert run("logout").stdout == "logged out at http://127.0.0.1:3000\n"
    assert json.loads(run("logout", "--json").stdout)["logged_out"] is False
    assert len(api.named("logout")) == 1


@pytest.mark.parametrize("content", ["", "[]", "{", '{"http://127.0.0.1:3000": {"access_token": 1}}'])
def test_a_damaged_session_file_counts_as_empty(api: OperatorApi, tmp_path: Path, content: str) -> None:
    (tmp_path / "powernode").mkdir()
    (tmp_path / "powernode/sessions.json").write_text(content)
    assert runner(api, tmp_path, token=None)("peers", "list").exit_code == 3


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1:3000", "http://platform.example.com", "ftp://127.0.0.1", "https://u:p@a.example.com", "127.0.0.1"]
)
def test_a_token_is_not_sent_where_others_could_read_it(api: OperatorApi, run: Run, url: str) -> None:
    assert run("peers", "list", "--url", url).exit_code == 2
    assert api.requests == []


@pytest.mark.parametrize("body", [{}, [], {"success": True, "data": {}}, {"success": "yes"}])
def test_an_answer_of_another_shape_is_no_daemon_of_ours(api: OperatorApi, run: Run, body: object) -> None:
    from api.cli.transport import Exchange

    api.answers["list_peers"] = Exchange(200, {}, body)
    result = run("peers", "list")
    assert result.exit_code == 1
    assert "daemon_error" in result.stderr
