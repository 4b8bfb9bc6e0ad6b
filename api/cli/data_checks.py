"""What `powernode doctor` looks at in a data directory and on its machine.

Lives here: checks that need no answer of a daemon. Must not live here: checks that do (see `daemon_checks`).
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from api.cli.examination import Ground, Registry, Skip
from api.cli.transport import TransportFailed

FREE_BYTES_MIN: Final = 256 * 1024 * 1024
CLOCK_BACK_MAX_S: Final = 600.0
CERTIFICATE_ENDS_SOON_S: Final = 14 * 86_400.0

registry = Registry("data")
check = registry.check


@check(
    title="configuration is usable",
    severity="critical",
    remedy="correct the options named; `powernode config show --data DIR` prints what is in force once they are",
)
def configuration(ground: Ground) -> Iterable[str]:
    return ground.configuration_problems


@check(
    title="configuration does what it says",
    severity="medium",
    remedy="change one of the options named; `powernode help configuration` tells how they are set",
)
def configuration_warnings(ground: Ground) -> Iterator[str]:
    yield from map(str, ground.settings.warnings())


@check(title="data directory is ours alone", severity="high", remedy="chmod 700 the directory and chown it to the user of the daemon")
def folder_permissions(ground: Ground) -> Iterator[str]:
    found = ground.folder.stat()
    if stat.S_IMODE(found.st_mode) & 0o077:
        yield f"{ground.folder} is open to other users (mode {stat.S_IMODE(found.st_mode):04o})"
    if found.st_uid != ground.surroundings.user_id():
        yield f"{ground.folder} belongs to user {found.st_uid}, and this command runs as {ground.surroundings.user_id()}"


@check(
    title="keys are there and readable by their owner alone",
    severity="critical",
    remedy="chmod 600 the file, or put the platform's own master key back from its copy; a new one cannot open what the old one sealed",
)
def key_files(ground: Ground) -> Iterator[str]:
    from net.private_files import PrivateFileError, read_private

    folder, vault_key = ground.folder, ground.settings.vault_key_file
    sealed = [path for path in (folder / "authority" / "authority.json", folder / "token.key") if path.exists()]
    if sealed and not vault_key.exists():
        yield f"the master key {vault_key} is missing, but {sealed[0]} is sealed under it"
    for path in (vault_key, *sealed):
        try:
            read_private(path)
        except PrivateFileError as error:
            yield str(error)


@check(
    title="keys fit together",
    severity="critical",
    remedy="restore authority, store and master key from the same platform; `powernode restore` does it from a backup",
)
def authority(ground: Ground) -> Iterable[str]:
    assert ground.authority.instance_id
    return ()


@check(
    title="clock is plausible",
    severity="high",
    remedy="set the clock of this machine and let it follow NTP; tokens and certificates depend on it",
)
def clock(ground: Ground) -> Iterator[str]:
    from api.health import EARLIEST_SANE_WALL
    from runtime.clock import iso

    if ground.now < EARLIEST_SANE_WALL:
        yield f"this machine believes it is {iso(ground.now)}, which is before this release was made"
    try:
        newest = ground.store.execute("select max(at) from store_event").fetchone()[0]
    except Skip:
        return
    if newest is not None and newest > ground.now + CLOCK_BACK_MAX_S:
        yield f"this machine believes it is {iso(ground.now)}, but the store holds an event of {iso(newest)}; the clock went back"


@check(title="certificates are valid", severity="high", remedy="renew the certificate, and see server.certificate_file and server.key_file")
def certificates(ground: Ground) -> Iterator[str]:
    server = ground.settings.server
    if server.certificate_file is not None and server.key_file is not None:
        yield from _public_certificate(server.certificate_file, server.key_file, server.public_url, ground.now)
    try:
        ends = ground.rotated_root_ends or ground.authority.not_after
    except Skip:
        return
    if ends < ground.now:
        yield "the root of our own certificate authority has ended"


def _public_certificate(chain: Path, key_file: Path, public_url: str | None, now: float) -> Iterator[str]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from actors.urls import host_of
    from runtime.clock import iso

    try:
        leaf = x509.load_pem_x509_certificates(chain.read_bytes())[0]
        key = load_pem_private_key(key_file.read_bytes(), None)
    except (ValueError, TypeError) as error:
        yield f"{chain} with {key_file} cannot be used: {error}"
        return
    if key.public_key() != leaf.public_key():
        yield f"{key_file} is not the key of the first certificate in {chain}"
    if leaf.not_valid_before_utc.timestamp() > now:
        yield f"{chain} is not valid before {iso(leaf.not_valid_before_utc.timestamp())}"
    ends = leaf.not_valid_after_utc.timestamp()
    if ends < now + CERTIFICATE_ENDS_SOON_S:
        yield f"{chain} {'ended' if ends < now else 'ends'} at {iso(ends)}"
    if public_url is not None and not _names(leaf, host_of(public_url)):
        yield f"{chain} does not name {host_of(public_url)}, the host of server.public_url"


def _names(leaf: object, host: str) -> bool:
    from cryptography import x509

    assert isinstance(leaf, x509.Certificate)
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    if host in (str(address) for address in names.get_values_for_type(x509.IPAddress)):
        return True
    # A wildcard stands for one label (RFC 6125, section 6.4.3).
    return any(name.lower() in (host, f"*.{host.partition('.')[2]}") for name in names.get_values_for_type(x509.DNSName))


@check(
    title="public URL is set and resolves",
    severity="high",
    remedy="set server.public_url to the https address of this platform, and have its name in the DNS that peers use",
)
def public_url(ground: Ground) -> Iterator[str]:
    from actors.urls import host_of

    url = ground.settings.server.public_url
    if url is None:
        yield "server.public_url is not set, so peers are told an address that works on this machine only"
        return
    try:
        ground.surroundings.addresses(host_of(url))
    except OSError as error:
        if ground.announces_a_hub:
            raise Skip(f"{host_of(url)} does not resolve here; peers are told to dial a hub for it") from error
        yield f"{host_of(url)} does not resolve here: {error}"


@check(
    title="public URL leads to this platform",
    severity="high",
    remedy="check port forwarding, firewall and reverse proxy; a proxy must pass TLS through unopened for peers' certificates to arrive",
)
def public_url_leads_here(ground: Ground) -> Iterator[str]:
    server = ground.settings.server
    if server.public_url is None:
        raise Skip("server.public_url is not set")
    if not ground.running:
        raise Skip("no daemon runs on this data directory")
    if ground.announces_a_hub:
        raise Skip("peers are told to dial a hub for it; `powernode hub show PEER` says what is in the way")
    # With a certificate of our own CA the answer proves to be ours; a public one shows only that somebody answers to the name.
    anchor = None if server.certificate_file is not None else ground.authority.ca_bundle_pem
    try:
        answer = ground.fetch(f"{server.public_url}/health/live", ca_pem=anchor)
    except TransportFailed as error:
        yield f"{server.public_url}: {error} (some networks cannot reach their own public address from inside)"
        return
    if answer.status != 200 or not isinstance(answer.body, dict) or answer.body.get("status") != "live":
        yield f"something else answers at {server.public_url} (HTTP {answer.status})"


@check(
    title="ports are free",
    severity="high",
    remedy="stop the other program, or choose other ports with server.listen and server.operator_listen",
)
def ports(ground: Ground) -> Iterator[str]:
    if ground.running:
        raise Skip("a daemon runs on this data directory and holds them")
    for address in (ground.settings.server.listen, ground.settings.server.operator_listen):
        try:
            ground.surroundings.bind(address.host, address.port)
        except OSError as error:
            yield f"{address} cannot be listened on: {error.strerror}"


@check(title="disk has room", severity="high", remedy="free space: without it no decision can be made durable, and calls are refused")
def disk_space(ground: Ground) -> Iterator[str]:
    free = ground.surroundings.free_bytes(ground.folder)
    if free < FREE_BYTES_MIN:
        yield f"{free // 1_048_576} MiB are free beside {ground.folder}; {FREE_BYTES_MIN // 1_048_576} are wanted"


@check(
    title="store is intact",
    severity="critical",
    remedy="stop the daemon and restore a backup with `powernode restore` into a new directory",
)
def store_integrity(ground: Ground) -> Iterator[str]:
    for (found,) in ground.store.execute("pragma quick_check(5)"):
        if found != "ok":
            yield str(found)
