"""How a command fails: its exit code, and a sentence on standard error that says what to do next.

Lives here: the exit codes, the table from an error's code to advice, and the one exception that commands raise.
Must not live here: how a request is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import IntEnum
from typing import IO, Any, Final

import click

from api.cli.text import clean


class Exit(IntEnum):
    """Exit codes; scripts rely on them, so a number never changes its meaning."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    DENIED = 3
    NOT_FOUND = 4
    CONFLICT = 5
    UNREACHABLE = 6
    WAIT_TIMED_OUT = 7
    OUTPUT_FAILED = 8
    INTERRUPTED = 130
    READER_GONE = 141


EXIT_MEANINGS: Final[Mapping[Exit, str]] = {
    Exit.OK: "done",
    Exit.FAILURE: "the platform refused or failed; `doctor` found something serious",
    Exit.USAGE: "the command line or the configuration is wrong",
    Exit.DENIED: "not logged in, or not allowed",
    Exit.NOT_FOUND: "no such peer, operator, actor or file on the platform",
    Exit.CONFLICT: "the present state does not allow it, or somebody else changed it first",
    Exit.UNREACHABLE: "the daemon or the remote platform could not be reached in time or could not prove who it is",
    Exit.WAIT_TIMED_OUT: "`wait` gave up before the state was reached",
    Exit.OUTPUT_FAILED: "the result could not be written to standard output or its file, which may be full; it may have been done",
    Exit.INTERRUPTED: "ended by Ctrl-C",
    Exit.READER_GONE: "whoever read standard output has gone, as after `| head`",
}

_UNREACHABLE_CODES: Final = frozenset(
    {"daemon_unreachable", "daemon_timeout", "daemon_untrusted", "remote_unreachable", "remote_timeout", "server_identity_unverified"}
)

ADVICE: Final[Mapping[str, str]] = {
    "acceptance_token_invalid": "ask the other operator for a new invitation: `powernode peers regenerate` on their side",
    "address_not_allowed": "if that network is really yours, name it under federation.allowed_networks and restart the daemon",
    "already_revoked": "a revoked peering is final; start a new one with `powernode peers invite`",
    "anchor_unproven": "compare that fingerprint with the other operator by another way; if it is theirs: `powernode peers approve-anchor`",
    "ca_unavailable": "the daemon cannot use its certificate authority; run `powernode doctor --data DIR` on its machine",
    "contract_mismatch": "the platforms know no common contract version; compare `powernode version --server` on both sides and upgrade",
    "daemon_error": "is --url the address of a powernode daemon? the answer did not come from one",
    "daemon_timeout": "the daemon is up but slow; try again, then look at its log",
    "daemon_unreachable": "is the daemon running there? start it with `powernode serve`, or name another with --url or POWERNODE_URL",
    "daemon_untrusted": "give the CA certificate of the platform with --ca-file, and check that --url is the right host",
    "fingerprint_mismatch": "stop: compare the CA fingerprint with the other operator over another channel before you go on",
    "forbidden": "log in as an operator who holds the permission named in details, or have it granted to you",
    "idempotency_key_reused": "use a fresh idempotency key for a different request",
    "internal_error": "this is a bug of the daemon; its log has the details under the request id",
    "invalid_invitation": "copy the whole invitation, from `pn1.` to its last character, and try again",
    "invalid_remote_url": "write the base URL of the other platform, as in https://platform-b.example.com",
    "invalid_spawn_combination": "leave --mode and --role away for two platforms that exist already",
    "invalid_transition": "see how it stands with the `show` command of what you named; allowed_transitions there are possible now",
    "invalid_ttl": "give a time between one minute and 30 days, as in --ttl 1h",
    "login_failed": "check the email address and the password; an operator who may can set a new one: `powernode operators passwd`",
    "no_outbound_identity": "this platform has no certificate for that peer; see `powernode peers trust PEER`",
    "not_found": "list what there is with `powernode peers list`, `powernode operators list`, `powernode resources list KIND`, "
    "`powernode audit chains` and so on",
    "not_logged_in": "run `powernode login`, or give a token in POWERNODE_TOKEN or --token-file",
    "peer_ambiguous": "name the peer by its full id",
    "peer_exists": "see it with `powernode peers show`; for a new token use `powernode peers regenerate`",
    "peer_not_found": "list the peers that there are with `powernode peers list`",
    "peer_suspended": "the peering is suspended; resume it first",
    "rate_limited": "wait for the time named above, then try again",
    "remote_error": "the other platform failed; its operator finds the reason in its log; try again later",
    "remote_rate_limited": "the other platform asks for patience; try again after the time named above",
    "remote_rejected": "the other platform refused: remote_code says why, and its operators can explain remote_request_id to you",
    "remote_rejected_token": "the token is mistyped, used or expired; ask the other operator for a new invitation",
    "remote_timeout": "the other platform did not answer in time; try again: nothing is lost and a repeat does no harm",
    "remote_unreachable": "check URL, DNS and firewall of the other platform; `powernode peers probe PEER` shows each address tried",
    "reserved_metadata_key": "choose another key; this one is kept by the platform itself",
    "self_peering": "this is our own URL; give the URL of the other platform",
    "server_identity_unverified": "stop: whoever answers there could not prove to be that platform; compare the CA fingerprint out of band",
    "token_not_applicable": "a token can only be made anew before the first authenticated call of the peer",
    "unauthenticated": "run `powernode login` again",
    "unavailable": "a part of the daemon is down and nothing was changed; try again, then `powernode doctor`",
    "vault_unavailable": "the daemon cannot read its master key; run `powernode doctor --data DIR` on its machine",
    "version_conflict": "somebody changed it meanwhile; look at it with `powernode peers show` and repeat the update",
}


def exit_for(status: int, code: str) -> Exit:
    """The exit code for an answer of the daemon with this HTTP status and error code."""
    if code in _UNREACHABLE_CODES:
        return Exit.UNREACHABLE
    by_status = {401: Exit.DENIED, 403: Exit.DENIED, 404: Exit.NOT_FOUND, 409: Exit.CONFLICT, 503: Exit.UNREACHABLE, 504: Exit.UNREACHABLE}
    return by_status.get(status, Exit.FAILURE)


class Failure(click.ClickException):
    """A command failed.

    Args:
        code: stable word, the daemon's own where it has one.
        message: one sentence.
        exit_code: what the process exits with.
        details: facts for a program.
        request_id: finds the request in the daemon's log.
        retry_after_s: seconds that the daemon asks us to wait.
    """

    def __init__(
        self,
        code: str,
        message: str,
        exit_code: Exit,
        *,
        details: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = int(exit_code)  # type: ignore[misc]  # click declares the default on the class and reads it from the instance
        self.details = dict(details or {})
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.as_json = False

    @property
    def advice(self) -> str | None:
        """What to do next, if we know."""
        return ADVICE.get(self.code)

    def show(self, file: IO[Any] | None = None) -> None:
        """Write it to standard error: lines for a person, or one JSON object after `--json`."""
        if self.as_json:
            click.echo(json.dumps(self.document()), err=True)
            return
        click.echo(f"error: {clean(self.message)} ({clean(self.code)})", err=True)
        for line in self._facts():
            click.echo(f"  {line}", err=True)
        if self.advice:
            click.echo(f"next:  {self.advice}", err=True)

    def document(self) -> dict[str, Any]:
        """The failure for a program."""
        return {
            "error": self.message,
            "code": self.code,
            "exit_code": self.exit_code,
            "advice": self.advice,
            "details": self.details,
            "request_id": self.request_id,
            "retry_after_s": self.retry_after_s,
        }

    def _facts(self) -> list[str]:
        facts = []
        for key, value in self.details.items():
            if key == "problems" and isinstance(value, list):
                facts += [f"problem: {_problem(problem)}" for problem in value]
            else:
                facts.append(f"{clean(key)}: {clean(value if isinstance(value, str) else json.dumps(value))}")
        if self.retry_after_s is not None:
            facts.append(f"retry after: {self.retry_after_s} s")
        if self.request_id:
            facts.append(f"request id: {clean(self.request_id)}")
        return facts


def _problem(problem: object) -> str:
    if isinstance(problem, Mapping) and "message" in problem:
        place = problem.get("field") or problem.get("path") or problem.get("code") or ""
        return clean(f"{place}: {problem['message']}" if place else str(problem["message"]))
    return clean(problem if isinstance(problem, str) else json.dumps(problem))
