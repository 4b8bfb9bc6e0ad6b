"""What `powernode doctor` asks a running daemon.

Lives here: checks that need its answers. Must not live here: checks of the data directory (see `data_checks`).
"""

from __future__ import annotations

from collections.abc import Iterator

from api.cli.examination import Ground, Registry, Skip
from api.cli.failures import Exit, Failure
from api.cli.findings import remedy_of, standing

registry = Registry("daemon")
check = registry.check


@check(
    title="daemon answers",
    severity="critical",
    remedy="start it with `powernode serve`, or name its address with --url; if it runs, its log says why it does not answer",
)
def daemon_answers(ground: Ground) -> Iterator[str]:
    answer = ground.application.run(ground.client.plain, "/health/live")
    if answer.status != 200:
        yield f"{ground.client.url} answers with HTTP {answer.status}"


@check(title="daemon is ready", severity="high", remedy="look into the daemon's log; it names the part that is down")
def daemon_ready(ground: Ground) -> Iterator[str]:
    body = ground.application.run(ground.client.plain, "/health/ready").body
    checks = body.get("checks") if isinstance(body, dict) else None
    if not isinstance(checks, dict):
        yield "the daemon does not say what it depends on"
        return
    for name, works in checks.items():
        if works is not True:
            yield f"{name} is not so"


@check(
    title="private peers are allowed",
    severity="high",
    remedy="if that network is really yours, name it under federation.allowed_networks and restart the daemon",
)
def private_peers(ground: Ground) -> Iterator[str]:
    from actors.addresses import refused_reason
    from actors.urls import host_of

    allowed = ground.settings.federation.allowed_networks
    for peer in _live_peers(ground):
        url = str(peer.get("remote_instance_url") or "")
        if not url:
            continue
        try:
            addresses = ground.surroundings.addresses(host_of(url))
        except OSError:
            continue  # that it does not resolve is said by the probe of the peer
        reasons = {address: reason for address in addresses if (reason := refused_reason(address, allowed)) is not None}
        for address, reason in reasons.items():
            yield f"{url} is at {address}, which is refused as {reason}"


@check(
    title="peers are reachable",
    severity="high",
    remedy="`powernode peers probe PEER` shows each address tried and what went wrong",
)
def peers_reachable(ground: Ground) -> Iterator[str]:
    for peer in _live_peers(ground):
        if peer.get("status") == "degraded" or peer.get("trust_status") in ("expired", "broken"):
            reason = peer.get("status_reason") or "no reason given"
            yield f"{peer.get('remote_instance_url')} is {peer.get('status')}, trust {peer.get('trust_status')}: {reason}"


@check(
    title="no serious finding is open",
    severity="high",
    remedy="follow the remedy of each finding: `powernode findings list`",
)
def findings(ground: Ground) -> Iterator[str]:
    rows = _asked(ground, "/federation/governance", {"severity": "high,critical"})
    for row in standing(rows):
        yield f"{row.get('severity')} {row.get('kind')}: {row.get('message') or remedy_of(row)}"


def _live_peers(ground: Ground) -> list[dict[str, object]]:
    try:
        return [peer for peer in ground.peers if peer.get("status") not in ("proposed", "revoked", "suspended")]
    except Failure as failure:
        raise _skip_if_denied(failure) from failure


def _asked(ground: Ground, path: str, query: dict[str, object]) -> list[dict[str, object]]:
    try:
        rows = ground.client.get(path, query).data
    except Failure as failure:
        raise _skip_if_denied(failure) from failure
    return [row for row in rows or [] if isinstance(row, dict)]


def _skip_if_denied(failure: Failure) -> Exception:
    if failure.exit_code == Exit.DENIED:
        return Skip(f"{failure.message}; `powernode login` lets this be checked")
    return Skip("the daemon does not answer") if failure.exit_code == Exit.UNREACHABLE else failure
