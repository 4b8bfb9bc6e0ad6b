"""The root of the command line: the table of nouns, and the options that hold for a whole run.

Lives here: what there is, in one line each. Must not live here: what it does.
"""

from __future__ import annotations

from typing import Any, Final

import click

from api.cli.application import Application
from api.cli.failures import Exit, Failure
from api.cli.lazy import PLUGINS, LazyGroup

COMMANDS: Final = {
    "actors": ("api.cli.actors:actors", "Look into the daemon's actors."),
    "approvals": ("api.cli.approvals:approvals", "See and decide about operations that wait for approval."),
    "audit": ("api.cli.audit:audit", "Verify audit chains, and see what of them is in the archive."),
    "backup": ("api.cli.backup:backup", "Copy the store of a platform into FILE, also while its daemon runs."),
    "bridges": ("api.cli.bridges:bridges", "Open overlay networks to peers."),
    "capabilities": ("api.cli.capabilities:capabilities", "Let records flow between peers and this platform."),
    "clock": ("api.cli.clock:clock", "See whether the platform's clock is known to be right, and say that it is."),
    "completion": ("api.cli.completion:completion", "Print the completion script of a shell."),
    "config": ("api.cli.config:config", "Show the configuration of a daemon."),
    "doctor": ("api.cli.doctor:doctor", "Find out what would stop this platform from federating."),
    "events": ("api.cli.events:events", "Follow what happens."),
    "findings": ("api.cli.findings:findings", "List what the governance scan found, with remedies."),
    "grants": ("api.cli.grants:grants", "Allow peers to use resources, and find out why a call is refused."),
    "help": ("api.cli.help:help_", "Explain a topic or a command."),
    "hub": ("api.cli.hub:hub", "Relay for peers that can only dial out, or be reached through one that does."),
    "login": ("api.cli.login:login", "Log in as an operator and keep the session."),
    "logout": ("api.cli.login:logout", "End the stored session."),
    "migrations": ("api.cli.migrations:migrations", "Move or copy resources to peers."),
    "offerings": ("api.cli.offerings:offerings", "Offer services to peers, and see who has a seat."),
    "operators": ("api.cli.operators:operators", "Manage the people who may operate this platform."),
    "overlay": ("api.cli.overlay:overlay", "Look after peers that share overlay networks and nothing else."),
    "peers": ("api.cli.peers:peers", "Pair with other platforms and look after them."),
    "quickstart": ("api.cli.serve:quickstart", "Run two platforms on this machine and pair them."),
    "resources": ("api.cli.resources:resources", "Look after this platform's catalogue of resources."),
    "restore": ("api.cli.backup:restore", "Make a fresh data directory from a backup."),
    "serve": ("api.cli.serve:serve", "Run the platform's daemon."),
    "services": ("api.cli.services:services", "Browse what peers offer, and subscribe."),
    "status": ("api.cli.status:status", "Show health, peers by status and open findings."),
    "trust": ("api.cli.trust:trust", "Replace this platform's root, and decide whether it runs on an earlier copy of its data."),
    "version": ("api.cli.version:version", "Print the version of this program, or of the daemon."),
}

_AS_JSON: Final = "powernode.json"


class Root(LazyGroup):
    """Knows, after all, whether the failed command was to print JSON, and how one ends that somebody has interrupted."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Commands of other packages have a `--json` of their own, and a wrong option further left keeps ours from being read.
        ctx.meta[_AS_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        as_json = ctx.meta[_AS_JSON]
        try:
            return super().invoke(ctx)
        except Failure as failure:
            failure.as_json = as_json
            raise
        except click.ClickException as error:
            if not as_json:
                raise
            code = "usage" if isinstance(error, click.UsageError) else "failed"
            refused = Failure(code, error.format_message(), Exit(error.exit_code))
            refused.as_json = True
            raise refused from error
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise click.exceptions.Exit(Exit.INTERRUPTED) from None


@click.group(
    name="powernode",
    cls=Root,
    lazy=COMMANDS,
    plugins=PLUGINS,
    epilog="Every command has --json. `powernode help exit-codes` lists what the exit codes mean.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Federate sovereign platforms: pair them, watch them, find out what is wrong.

    Commands speak to a running daemon at http://127.0.0.1:3000, or at --url.
    """
    ctx.ensure_object(Application)
