"""The production composition root: one platform over real sockets, a real store and the system's clocks.

Lives here: where the parts of a platform come from, start and stop. Must not live here: how they are put together (`api.composition`), or
any rule of the domain.
"""

from __future__ import annotations

import base64
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
import trio
from cryptography import x509

from actors.addresses import is_literal
from actors.audit_archive.record import ARCHIVE, PRUNING
from actors.continuity.record import KIND as CONTINUITY
from actors.continuity.record import START_MARK_BITS, epoch_floor
from actors.door.access import AccessLine, through_logging
from actors.governance.messages import Start
from actors.governance.record import KIND as GOVERNANCE
from actors.operator.messages import CreateOperator
from actors.operator.permissions import PERMISSIONS
from actors.operator.record import KIND as OPERATOR
from actors.periodic.messages import Begin
from actors.registry import DOMAIN_VERSION, KINDS
from actors.rotation.record import KIND as ROTATION
from actors.rotation.record import RotationRecord, identity_by
from actors.settings import Identity, Settings
from actors.urls import canonical_url, host_of
from api import logs
from api.composition import LISTENER_LEAF_LIFETIME_S, Composition, Parts
from api.configuration import Configuration, ServerSettings
from api.flight import FLIGHT_NAME, FlightFile
from api.started import note_start
from api.version import RELEASE_TAG, VERSION
from net.addresses import Dialler
from net.archive import FolderArchive
from net.authority import Authority
from net.credentials import Credentials
from net.folder_lock import FolderLock
from net.limits import DEFAULT_LISTENER_LIMITS, ListenerLimits
from net.listener import open_loopback, open_public
from net.proxy import FolderProxy
from net.proxy_certificates import ProxyCertificates
from net.tls import ListenerLeaf
from net.vault import Vault, VaultError
from net.worker_token import worker_token_digest
from runtime.actor import Ref
from runtime.clock import SystemClock
from runtime.errors import Fault
from runtime.ids import uuid7
from runtime.random import SystemRandomness
from runtime.secret import Secret
from runtime.services import open_service_tree
from runtime.store.sqlite import DATABASE_NAME, SqliteStore
from runtime.supervision import ChildSpec
from runtime.values import evolve

log = logging.getLogger("powernode.daemon")

OWN_FILES: Final = 512
"""Open files that are neither connections nor channels of others: the store, the log, calls of our own."""

FIRST_OPERATOR_EMAIL = "admin@localhost"
FIRST_PASSWORD_BYTES = 18
AUTHORITY_FOLDER = "authority"
ARCHIVE_FOLDER = "archive"
PROXY_FOLDER = "proxy"


def serve(configuration: Configuration, *, announce_as_json: bool = False) -> int:
    """Run a platform until SIGTERM or SIGINT. Returns the exit code.

    Raises:
        FolderLockedError, StoreError, VaultError, AuthorityError, CredentialsError, OSError: it could not start.
    """
    clock = SystemClock()
    lines = logs.configure(clock, level=configuration.log.level, as_json=configuration.log.format == "json")
    for doubt in configuration.warnings():
        log.warning("%s", doubt)
    os.umask(0o077)
    configuration.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FolderLock.acquire(configuration.data):
        note_start(configuration)
        trio.run(Platform(configuration, announce_as_json, keep_what_started, lines.access_line).run)
    return 0


@attrs.define(eq=False)
class Platform:
    """One running platform and what it is made of.

    Attributes:
        on_ready: called once it serves and all of it is loaded.
        access_line: writes the lines of the access log.
    """

    configuration: Configuration
    announce_as_json: bool = False
    on_ready: Callable[[], None] | None = None
    access_line: AccessLine = through_logging
    clock: SystemClock = attrs.field(factory=SystemClock)
    randomness: SystemRandomness = attrs.field(factory=SystemRandomness)
    store: SqliteStore = attrs.field(init=False)
    authority: Authority = attrs.field(init=False)
    composition: Composition = attrs.field(init=False)
    _leaf_ends: float = attrs.field(default=0.0, init=False)

    async def run(self) -> None:
        """Start, announce, serve, drain."""
        with ExitStack() as stack, open_signals() as signals:
            self.store = self._open_store()
            stack.callback(lambda: self.store.close())
            public = await open_public(self.configuration.server.listen.host, self.configuration.server.listen.port)
            loopback = await open_loopback(self.configuration.server.operator_listen.host, self.configuration.server.operator_listen.port)
            urls = self._urls(_port(public), _port(loopback))
            settings, credentials, vault = self._identity(urls["public_url"])
            async with trio.open_nursery() as ports:
                self.composition = Composition(self._parts(settings, credentials, vault), ports)
                await self._serve(signals, public, loopback, urls, settings)
                ports.cancel_scope.cancel()

    async def _serve(self, signals: Any, public: Any, loopback: Any, urls: Mapping[str, str], settings: Settings) -> None:
        composition = self.composition
        flight = FlightFile(self.configuration.data / FLIGHT_NAME, composition.engine, self.randomness)
        services = [*composition.services(public, loopback), ChildSpec("flight-recorder", flight.run)]
        async with open_service_tree("platform", "rest_for_one", services, self.clock, self.randomness):
            composition.engine.start()
            first = await self._first_start(settings)
            self._announce(urls, settings, first)
            await trio.to_thread.run_sync(composition.app.load)
            if self.on_ready is not None:
                self.on_ready()
            async for _ in signals:
                break
            composition.hang_up()
        await composition.drain()
        await flight.write()

    # --- parts ---------------------------------------------------------------------------------------------------

    def _open_store(self) -> SqliteStore:
        token = trio.lowlevel.current_trio_token()
        return SqliteStore.open(store_file(self.configuration.data), KINDS, deliver=token.run_sync_soon, domain_version=DOMAIN_VERSION)

    def _urls(self, public_port: int, loopback_port: int) -> dict[str, str]:
        operator_host = self.configuration.server.operator_listen.host
        shown = f"[{operator_host}]" if ":" in operator_host else operator_host
        public_url = self.configuration.server.public_url or canonical_url(f"https://localhost:{public_port}")
        return {"public_url": public_url, "operator_url": f"http://{shown}:{loopback_port}"}

    def _identity(self, public_url: str) -> tuple[Settings, Credentials, Vault]:
        """Who this platform is: made at the first start, read at every other."""
        data, wall = self.configuration.data, self.clock.wall()
        vault = self._open_vault()
        chance = self.randomness.stream("identity")
        instance_id = self._remembered("instance_id", uuid7(wall, chance))
        account_id = self._remembered("account_id", uuid7(wall, chance))
        self.authority = Authority.open_or_create(
            data / AUTHORITY_FOLDER, instance_id=instance_id, clock=self.clock, randomness=self.randomness, vault=vault
        )
        credentials = Credentials.open_or_create(data / "token.key", vault=vault, randomness=self.randomness)
        public_certificate = self.configuration.server.certificate_file is not None
        identity = Identity(
            instance_id=instance_id,
            url=public_url,
            ca_bundle_pem=self.authority.ca_bundle_pem,
            ca_fingerprint=self.authority.ca_fingerprint,
            ca_pin=None if public_certificate else self.authority.ca_pin,
            boot_epoch=self._next_epoch(instance_id),
            restored_at_epoch=int(self.store.meta_get("restored_at_epoch") or 0),
            account_id=account_id,
            start_mark=chance.getrandbits(START_MARK_BITS),
            history=self.store.last_cursor(),
        )
        settings = Settings(
            identity,
            self.configuration.to_settings(),
            platform_version=VERSION,
            release_tag=RELEASE_TAG,
            worker_token_digest=worker_token_digest(self.configuration.server.worker_token_file),
        )
        return settings, credentials, vault

    def _next_epoch(self, instance_id: str) -> int:
        """The epoch of this start: above every earlier one, those of a later copy included, once operators have decided about it."""
        row = self.store.load(CONTINUITY.name, instance_id)
        floor = epoch_floor(row.record if row is not None else None)
        if int(self.store.meta_get("boot_epoch") or 0) < floor:
            self.store.meta_set("boot_epoch", str(floor))
        return self.store.bump_epoch()

    def _open_vault(self) -> Vault:
        """The vault under its master key. A missing key is made at the first start only: a new one would open nothing of an older platform.

        Raises:
            VaultError: the key is missing, unreadable or readable for others.
        """
        key_file = self.configuration.vault_key_file
        if (self.configuration.data / AUTHORITY_FOLDER).exists() and not key_file.exists():
            raise VaultError("vault_unavailable", f"the master key {key_file} is missing; restore it from its backup, or mount it")
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        provided = credentials is not None and key_file.resolve().is_relative_to(Path(credentials).resolve())
        return Vault.open_or_create(key_file, self.randomness, provided=provided)

    def _remembered(self, key: str, fresh: str) -> str:
        found = self.store.meta_get(key)
        if found is None:
            self.store.meta_set(key, fresh)
            return fresh
        return found

    def _parts(self, settings: Settings, credentials: Credentials, vault: Vault) -> Parts:
        allowed = self.configuration.federation.allowed_networks
        return Parts(
            settings=settings,
            clock=self.clock,
            randomness=self.randomness,
            store=self.store,
            reopen=self._reopen,
            authority=self.authority,
            credentials=credentials,
            vault=vault,
            archive=FolderArchive(self.configuration.data / ARCHIVE_FOLDER).handle,
            proxy=self._proxy(vault).handle,
            dialler=Dialler(allowed=lambda: allowed),
            leaves=lambda: self._leaves(settings.identity.url),
            certificates_end=lambda: (self._root_ends(), self._leaf_ends),
            limits=listener_limits(self.configuration.server, open_files()),
            access_line=self.access_line,
        )

    def _proxy(self, vault: Vault) -> FolderProxy:
        given = self.configuration.proxy
        certificates = ProxyCertificates(self.clock.wall, given.certificates, given.certificate_resolver)
        return FolderProxy(self.configuration.data / PROXY_FOLDER, vault.open, certificates)

    def _reopen(self) -> SqliteStore:
        self.store.close()
        self.store = self._open_store()
        return self.store

    def _rotation(self) -> RotationRecord | None:
        row = self.store.load(ROTATION.name, self.authority.instance_id)
        return None if row is None else row.record

    def _root_ends(self) -> float:
        rotation = self._rotation()
        return self.authority.not_after if rotation is None or rotation.current is None else rotation.current.not_after

    def _leaves(self, public_url: str) -> tuple[ListenerLeaf, ...]:
        server = self.configuration.server
        if server.certificate_file is not None and server.key_file is not None:
            own = ListenerLeaf(server.certificate_file.read_bytes(), server.key_file.read_bytes())
            self._leaf_ends = x509.load_pem_x509_certificate(own.chain_pem).not_valid_after_utc.timestamp()
            return (own,)
        names = dict.fromkeys([host_of(public_url), *server.dns_names, "localhost"])
        addresses = dict.fromkeys([*server.ip_addresses, "127.0.0.1", "::1"])
        literal = [name for name in names if is_literal(name)]
        rotation = self._rotation()
        root = rotation.current.key if rotation is not None and rotation.current is not None else None
        made = self.authority.listener_leaves(
            [name for name in names if name not in literal], [*dict.fromkeys([*literal, *addresses])], LISTENER_LEAF_LIFETIME_S, root
        )
        self._leaf_ends = self.clock.wall() + LISTENER_LEAF_LIFETIME_S
        return tuple(ListenerLeaf(chain, key) for chain, key in made)

    # --- first start, announcement, end --------------------------------------------------------------------------

    async def _first_start(self, settings: Settings) -> Secret | None:
        """Make the first operator if there is none yet; its password is shown once, by `_announce`."""
        account_id = settings.identity.account_id
        self.composition.engine.tell(Ref(GOVERNANCE.name, account_id), Start(account_id))
        for kind in (ARCHIVE, PRUNING):
            self.composition.engine.tell(Ref(kind.name, account_id), Begin(account_id))
        if self.store.meta_get("first_operator") is not None:
            return None
        password = Secret(_readable(self.randomness.token_bytes(FIRST_PASSWORD_BYTES)))
        ref = Ref(OPERATOR.name, uuid7(self.clock.wall(), self.randomness.stream("identity")))
        message = CreateOperator(
            account_id=account_id,
            email=FIRST_OPERATOR_EMAIL,
            name="First operator",
            password=password,
            permissions=tuple(PERMISSIONS),
            by=None,
        )
        outcome = await self.composition.driver.ask(ref, message, 30.0)
        if isinstance(outcome, Fault) and outcome.code != "operator_exists":
            raise RuntimeError(f"the first operator could not be made: {outcome.code}")
        self.store.meta_set("first_operator", FIRST_OPERATOR_EMAIL)
        return None if isinstance(outcome, Fault) else password

    def _announce(self, urls: Mapping[str, str], settings: Settings, password: Secret | None) -> None:
        facts: dict[str, Any] = {
            **urls,
            "instance_id": settings.identity.instance_id,
            "ca_fingerprint": identity_by(self._rotation(), settings.identity).ca_fingerprint,
        }
        if password is not None:
            facts["first_operator"] = {"email": FIRST_OPERATOR_EMAIL, "password": password.reveal()}
        if self.announce_as_json:
            lines = [msgspec.json.encode({"ready": True, **facts}).decode()]
        else:
            lines = [f"powernode {VERSION} serves {urls['public_url']} (peers, operators) and {urls['operator_url']} (operators here)"]
            if password is not None:
                lines += [
                    "",
                    "  First operator, shown once:",
                    f"    email     {FIRST_OPERATOR_EMAIL}",
                    f"    password  {password.reveal()}",
                    "  Sign in with `powernode login`, then change the password with `powernode operators passwd`.",
                    "",
                ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


def open_files() -> int:
    """How many files this process may have open, after it has been allowed as many as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # The system may take less than it says; the former limit stays then.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def listener_limits(server: ServerSettings, files: int) -> ListenerLimits:
    """What the listener may hold open with so many files: strangers first, or nobody could call, and channels with the rest."""
    connections = max(1, min(server.connections, (files - OWN_FILES) // 2))
    channels = max(1, min(server.channels, files - OWN_FILES - connections))
    if (connections, channels) != (server.connections, server.channels):
        text = "with %d open files there is room for %d connections and %d channels; raise the limit (ulimit -n) for more"
        log.warning(text, files, connections, channels)
    return evolve(
        DEFAULT_LISTENER_LIMITS,
        grace_s=float(server.grace_s),
        connections=connections,
        connections_per_source=min(server.connections_per_source, connections),
        channels=channels,
    )


def keep_what_started() -> None:
    """Collect garbage from now on, sparing what the start has made: modules and classes stay until the end."""
    gc.freeze()
    gc.enable()


def open_signals() -> Any:
    """SIGTERM and SIGINT, as trio delivers them."""
    return trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT)


def _port(listeners: Any) -> int:
    return int(listeners[0].socket.getsockname()[1])


def _readable(secret: bytes) -> str:
    return base64.urlsafe_b64encode(secret).decode().rstrip("=")


def store_file(data: Path) -> Path:
    """Where a data directory keeps its store."""
    return data / DATABASE_NAME
