"""`powernode backup` and `powernode restore`.

Lives here: which files of a data directory belong to a backup, and what the operator is told. Must not live here: the archive (see
`runtime.store.backup`), or what becomes of a restored record (see `actors`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import click

from api.cli.application import Application, current, json_option
from api.cli.config import config_option, data_option, load_configuration
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command
from api.cli.output import emit_json, note, say
from api.cli.text import counted

_VAULT_KEY = "vault.key"


@click.command(cls=Command)
@data_option
@config_option
@click.option("--with-vault-key", is_flag=True, help="Also copy the master key, so that the archive alone opens every secret in it.")
@click.argument("archive", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@json_option
def backup(data: Path, file: Path | None, with_vault_key: bool, archive: Path) -> None:
    """Copy the store of a platform into FILE, also while its daemon runs.

    The archive holds the store, the certificate authority and the token key. Their secrets are sealed under the vault's master key, which
    stays out unless --with-vault-key is given: keep a copy of that key elsewhere.
    """
    from api.daemon import store_file
    from runtime.store.backup import backup as write
    from runtime.store.port import StoreError

    configuration, application = load_configuration(data, file), current()
    if not store_file(data).is_file():
        raise Failure("no_store", f"{data} holds no store; is it the data directory of a platform?", Exit.NOT_FOUND)
    extra = {name: path for name in ("authority", "token.key") if (path := data / name).exists()}
    if with_vault_key:
        extra[_VAULT_KEY] = configuration.vault_key_file
    try:
        with _progress(application) as progress:
            manifest = write(store_file(data), archive, created_at=application.clock.wall(), extra=extra, progress=progress)
    except StoreError as error:
        raise Failure("backup_failed", str(error), Exit.FAILURE) from error
    if application.as_json:
        emit_json({"archive": str(archive), **attrs.asdict(manifest)})
        return
    say(f"{archive}: {counted(len(manifest.files), 'file')}, epoch {manifest.boot_epoch}")
    if not with_vault_key:
        note(f"the master key is not in it; keep a copy of {configuration.vault_key_file} apart from this archive")


@click.command(cls=Command)
@data_option
@click.option(
    "--vault-key", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Copy of the master key to put in place."
)
@click.argument("archive", type=click.Path(dir_okay=False, exists=True, path_type=Path), metavar="FILE")
@json_option
def restore(data: Path, vault_key: Path | None, archive: Path) -> None:
    """Make a fresh data directory from a backup.

    Acceptance tokens that were open at the time of the backup stay closed, and peers can tell that this platform is an earlier one. Never
    run the restored copy beside the original.
    """
    from actors.registry import DOMAIN_VERSION, KINDS, ON_RESTORE
    from runtime.store.backup import restore as read
    from runtime.store.port import StoreError

    key = None if vault_key is None else _read_key(vault_key)
    try:
        restored = read(archive, data, KINDS, domain_version=DOMAIN_VERSION, on_restore=ON_RESTORE)
    except StoreError as error:
        raise Failure("restore_failed", str(error), Exit.FAILURE) from error
    if key is not None:
        _write_key(data / _VAULT_KEY, key)
    if current().as_json:
        emit_json({"data": str(data), **attrs.asdict(restored)})
    else:
        say(f"{data}: restored, epoch {restored.boot_epoch}, {counted(sum(restored.changed.values()), 'record')} closed")
        if restored.ledger_head is not None:
            note(f"head of the audit ledger: {restored.ledger_head}; compare it with one that you kept: `powernode audit verify --kept`")
        note("trust is frozen until you have decided what still holds: start the daemon, then `powernode trust show`")
        if not (data / _VAULT_KEY).exists():
            note(f"put the platform's master key at {data / _VAULT_KEY}, or name it as vault.key_file, before you start the daemon")
    for chain, problem in restored.audit_problems.items():
        note(f"warning: the audit chain {chain} is not as it was written: {problem}; the backup was altered")
    if restored.ledger_problem is not None:
        note(f"warning: the ledger of the audit chains is not as it was written: {restored.ledger_problem}; the backup was altered")
    if restored.audit_problems or restored.ledger_problem is not None:
        note(f"`powernode audit verify --data {data}` names everything that is wrong; compare with the archive, and with what peers have")
        click.get_current_context().exit(int(Exit.FAILURE))


def _read_key(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failure("vault_key_unreadable", f"{path} cannot be read: {error.strerror}", Exit.USAGE) from error


def _write_key(path: Path, key: bytes) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(key)


@contextmanager
def _progress(application: Application) -> Any:
    """A bar on a terminal, nothing elsewhere; yields what `runtime.store.backup` reports to."""
    import sys

    if application.as_json or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("copying the store")
        report: Callable[[int, int], None] = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731
        yield report
