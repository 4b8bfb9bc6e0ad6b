"""`powernode serve` and `powernode quickstart`: the commands that run platforms.

Lives here: flags. Must not live here: how a platform is put together (see `api.daemon`, `api.quickstart`).
"""

from __future__ import annotations

import gc
from pathlib import Path

import click

from api.cli.application import current, json_option
from api.cli.config import config_option, data_option, load_configuration
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command


@click.command(cls=Command)
@data_option
@config_option
@click.option("--public-url", metavar="URL", help="https address under which peers reach this platform.")
@click.option("--listen", metavar="HOST:PORT", help="TLS port for peers and operators.  [default: 0.0.0.0:8443]")
@click.option("--operator-listen", metavar="HOST:PORT", help="Plain HTTP for operators on this machine.  [default: 127.0.0.1:3000]")
@click.option(
    "--allowed-network", "allowed_networks", multiple=True, metavar="CIDR", help="Private range that peers may be in; may be repeated."
)
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
@click.option("--log-format", metavar="FORMAT", help="text or json.")
@json_option
@click.pass_context
def serve(
    ctx: click.Context,
    data: Path,
    file: Path | None,
    public_url: str | None,
    listen: str | None,
    operator_listen: str | None,
    allowed_networks: tuple[str, ...],
    log_level: str | None,
    log_format: str | None,
) -> None:
    """Run the platform's daemon.

    Everything else is configured in the file or the environment; see `powernode help configuration`. SIGTERM and SIGINT end it in good
    order. With --json it says in one object where it listens once it is ready.
    """
    flags = {
        "server.public_url": public_url,
        "server.listen": listen,
        "server.operator_listen": operator_listen,
        "federation.allowed_networks": list(allowed_networks) or None,
        "log.level": log_level,
        "log.format": log_format,
    }
    configuration = load_configuration(data, file, flags)
    # Nearly all that a start makes stays; looking for garbage in it takes a tenth of the time. The daemon turns this on again.
    gc.disable()
    from api import daemon
    from net.authority import AuthorityError
    from net.credentials import CredentialsError
    from net.folder_lock import FolderLockedError
    from net.vault import VaultError
    from runtime.store.port import StoreError

    try:
        code = daemon.serve(configuration, announce_as_json=current().as_json)
    except (FolderLockedError, StoreError, VaultError, AuthorityError, CredentialsError, OSError) as error:
        raise Failure("cannot_start", f"the daemon cannot start: {error}", Exit.FAILURE) from error
    finally:
        gc.enable()
    ctx.exit(code)


@click.command(cls=Command)
@click.option("--keep", is_flag=True, help="Leave both platforms running until interrupted, and say where they are.")
@json_option
@click.pass_context
def quickstart(ctx: click.Context, keep: bool) -> None:
    """Run two platforms on this machine and pair them.

    They live in a temporary folder and on loopback addresses, and are gone afterwards.
    """
    from api.quickstart import run

    ctx.exit(run(keep=keep, as_json=current().as_json))
