"""The frame of `powernode doctor`: what a check is, what it may look at, and how all of them are run.

Lives here: the registry's parts. Must not live here: any check (see `data_checks` and `daemon_checks`).
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import attrs

from api.cli.application import Application
from api.cli.client import Client
from api.cli.failures import Failure
from api.cli.transport import Exchange, TransportFailed
from api.configuration import Configuration
from net.authority import STORE_NAME, Authority, AuthorityError
from net.folder_lock import LOCK_NAME, FolderLock, FolderLockedError
from net.private_files import PrivateFileError
from net.vault import Vault, VaultError
from runtime.random import SystemRandomness
from runtime.store.codec import decode_json

Severity = Literal["low", "medium", "high", "critical"]
SERIOUS = frozenset({"high", "critical"})


class Function(Protocol):
    """Yields one sentence per problem."""

    __name__: str

    def __call__(self, ground: Ground, /) -> Iterable[str]: ...


class Skip(Exception):
    """The check does not apply here; the text says why."""


@attrs.frozen
class Check:
    """One thing that can stop a platform from federating.

    Attributes:
        name: stable snake_case word.
        title: what is looked at.
        severity: how much a problem matters.
        remedy: what to do about one.
        needs: `data` looks at a data directory, `daemon` asks a running daemon.
        function: yields one sentence per problem; raises `Skip` where it does not apply. What it raises as an error (a `Failure`,
            `OSError`, and those of transport, store and keys) counts as a problem.
    """

    name: str
    title: str
    severity: Severity
    remedy: str
    needs: Literal["data", "daemon"]
    function: Function


class Registry:
    """The checks of one module, in the order in which they stand there."""

    def __init__(self, needs: Literal["data", "daemon"]) -> None:
        self._needs = needs
        self.checks: list[Check] = []

    def check(self, *, title: str, severity: Severity, remedy: str) -> Callable[[Function], Function]:
        """Register the function as the check of its own name."""

        def register(function: Function) -> Function:
            self.checks.append(Check(function.__name__, title, severity, remedy, self._needs, function))
            return function

        return register


@attrs.frozen
class Verdict:
    """What one check came to; `skipped` says why it was not made."""

    name: str
    title: str
    severity: Severity
    problems: tuple[str, ...]
    remedy: str
    skipped: str | None = None

    @property
    def word(self) -> str:
        """One word for a table."""
        if self.skipped is not None:
            return "skipped"
        return self.severity if self.problems else "pass"


class Surroundings:
    """What the operating system says; tests put their own in its place."""

    def free_bytes(self, path: Path) -> int:
        """Room for files beside `path`."""
        return shutil.disk_usage(path).free

    def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses that a name resolves to on this host.

        Raises:
            OSError: it does not resolve.
        """
        return tuple(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)))

    def bind(self, host: str, port: int) -> None:
        """Take a TCP port and give it back.

        Raises:
            OSError: it cannot be taken.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))

    def user_id(self) -> int:
        """Who runs this command."""
        return os.geteuid()


@attrs.define(slots=False, eq=False)
class Ground:
    """What checks may look at. Whatever several of them need is looked up once."""

    application: Application
    data: Path | None
    configuration: Configuration | None
    configuration_problems: tuple[str, ...] = ()
    surroundings: Surroundings = attrs.field(factory=Surroundings)

    @property
    def now(self) -> float:
        return self.application.clock.wall()

    @cached_property
    def client(self) -> Client:
        return Client(self.application)

    @property
    def folder(self) -> Path:
        if self.data is None:
            raise Skip("no --data")
        if not self.data.is_dir():
            raise Skip("there is no data directory yet")
        return self.data

    @property
    def settings(self) -> Configuration:
        if self.configuration is None:
            raise Skip("no usable configuration")
        return self.configuration

    @cached_property
    def running(self) -> bool:
        """Whether a daemon holds the data directory."""
        if self.data is None or not (self.data / LOCK_NAME).exists():
            return False
        try:
            FolderLock.acquire(self.data).release()
        except FolderLockedError:
            return True
        return False

    @cached_property
    def authority(self) -> Authority:
        """The platform's certificate authority.

        Raises:
            Skip: there is none yet.
            VaultError, AuthorityError: it cannot be used.
        """
        configuration, chance = self.settings, SystemRandomness()
        directory = self.folder / "authority"
        # Both would be made if they were missing, and an examination makes nothing.
        if not (directory / STORE_NAME).exists():
            raise Skip("there is no certificate authority yet; the first start makes it")
        if not configuration.vault_key_file.exists():
            raise Skip("the master key is missing")
        row = self.store.execute("select value from store_meta where key = 'instance_id'").fetchone()
        if row is None:
            raise Skip("the store does not name the instance yet")
        vault = Vault.open_or_create(configuration.vault_key_file, chance)
        return Authority.open_or_create(directory, instance_id=row[0], clock=self.application.clock, randomness=chance, vault=vault)

    @cached_property
    def store(self) -> sqlite3.Connection:
        """The store, read-only, beside a daemon that may be using it.

        Raises:
            Skip: there is none yet.
            sqlite3.Error: it cannot be opened.
        """
        from api.daemon import store_file

        path = store_file(self.folder)
        if not path.is_file():
            raise Skip("there is no store yet; the first start makes it")
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)

    @cached_property
    def rotated_root_ends(self) -> float | None:
        """When the root that a rotation has put in force ends, in seconds since the epoch; None while the first one is in force.

        Raises:
            sqlite3.Error: the store cannot be read.
        """
        if self.store.execute("select 1 from sqlite_master where type = 'table' and name = 'rotation'").fetchone() is None:
            return None
        row = self.store.execute("select record from rotation").fetchone()
        current = decode_json(row[0]).get("current") if row is not None else None
        return None if current is None else float(current["not_after"])

    @cached_property
    def announces_a_hub(self) -> bool:
        """Whether operators have chosen a hub that peers are told of, so that they need not find this platform by its name.

        Raises:
            sqlite3.Error: the store cannot be read.
        """
        try:
            if self.store.execute("select 1 from sqlite_master where type = 'table' and name = 'hub_consent'").fetchone() is None:
                return False
        except Skip:
            return False
        rows = self.store.execute("select record from hub_consent where relayed = 'permitted'")
        return any(decode_json(record).get("announced", True) for (record,) in rows)

    @cached_property
    def peers(self) -> list[dict[str, Any]]:
        return self.client.pages("/platform/peers")

    def fetch(self, url: str, *, ca_pem: str | None) -> Exchange:
        """GET a URL without credentials.

        Raises:
            TransportFailed: no answer.
        """

        async def get() -> Exchange:
            return await self.application.transport("GET", url, headers={}, body=None, timeout_s=10.0, ca_pem=ca_pem)

        return self.application.run(get)


def examine(ground: Ground, checks: Iterable[Check], *, needs: frozenset[str]) -> list[Verdict]:
    """Make every check of the kinds `needs`, in order. No check can stop another."""
    return [_verdict(ground, check) for check in checks if check.needs in needs]


def _verdict(ground: Ground, check: Check) -> Verdict:
    skipped = None
    problems: tuple[str, ...] = ()
    try:
        problems = tuple(check.function(ground))
    except Skip as skip:
        skipped = str(skip)
    except Failure as failure:
        problems = (failure.message,)
    except (OSError, sqlite3.Error, TransportFailed, AuthorityError, PrivateFileError, VaultError) as error:
        problems = (str(error),)
    return Verdict(check.name, check.title, check.severity, problems, check.remedy, skipped)
