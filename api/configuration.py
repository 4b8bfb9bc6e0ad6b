"""What an operator may configure: defaults, then the TOML file, then the environment, then flags; the later wins.

Lives here: the sections, how a value is read and checked, the relations between values, and where each value came from.
Must not live here: what the settings do, or any secret. Secrets are files of the data directory that are named here by path.

Every option has a dotted key, `federation.stale_after`. In the file it stands in the table `[federation]`; its environment variable is
`POWERNODE_FEDERATION_STALE_AFTER`; a text from the environment means what the same text would mean in the file, and a list is written
with commas. A duration is a number of seconds or a text such as `90s`, `5m`, `1h`, `7d`; its key may also be written with a trailing `_s`.

**The vault's master key.** Private keys and waiting tokens are stored sealed under one master key, which lives alone in `vault.key_file`
(default: `vault.key` in the data directory, mode 0600). Without it the sealed values of a backup cannot be opened, and with it they can:
back it up, but keep that copy apart from backups of the data, and best point `vault.key_file` at a file that a secret manager mounts.
"""

from __future__ import annotations

import difflib
import functools
import ipaddress
import json
import operator
import re
import tomllib
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NewType

import attrs
import cattrs

from actors import limits
from actors.approval.limits import TIMEOUT_MAX_S as APPROVAL_TIMEOUT_MAX_S
from actors.approval.limits import TIMEOUT_MIN_S as APPROVAL_TIMEOUT_MIN_S
from actors.peer.endpoints import parse_hubs
from actors.problems import Problem as EntryProblem
from actors.settings import DEFAULT_RATE_LIMITS, FederationSettings, Limit
from actors.urls import canonical_url
from api.durations import format_duration, parse_duration
from runtime.values import evolve

DEFAULT_FILE: Final = "powernode.toml"
ENVIRONMENT_PREFIX: Final = "POWERNODE_"
FILE_BYTES_MAX: Final = 1_048_576
RATE_MAX: Final = 1_000_000

Duration = NewType("Duration", float)


# --- The sections ---------------------------------------------------------------------------------------------------


@attrs.frozen
class HostPort:
    """An address to listen on; port 0 lets the operating system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen
class ServerSettings:
    """Settings under `server.`

    Attributes:
        public_url: base URL (`https`) under which peers reach this platform. Peers remember it, so it should not change.
        listen: TLS port for peers and operators.
        operator_listen: plain HTTP for operators on this machine; loopback addresses only.
        dns_names: names in our own server certificate besides the host of `public_url`.
        ip_addresses: addresses in our own server certificate.
        certificate_file: PEM chain of a public CA to show instead of our own certificate; goes with `key_file`.
        key_file: PEM private key of `certificate_file`.
        worker_token_file: the token by which the scheduler of another program may start runs; without it none can.
        grace_s: seconds that running requests get to finish at shutdown.
        connections, connections_per_source: how many connections may be open at a time, channels of peers not counted.
        channels: how many channels peers may hold, as far as the limit of open files allows.
    """

    public_url: str | None = None
    listen: HostPort = HostPort("0.0.0.0", 8443)
    operator_listen: HostPort = HostPort("127.0.0.1", 3000)
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    certificate_file: Path | None = None
    key_file: Path | None = None
    worker_token_file: Path | None = None
    grace_s: Duration = Duration(10.0)
    connections: int = 4_096
    connections_per_source: int = 512
    channels: int = 16_384


@attrs.frozen
class VaultSettings:
    """Settings under `vault.`; `key_file` holds the master key, and is `vault.key` in the data directory unless set."""

    key_file: Path | None = None


@attrs.frozen
class ProxySettings:
    """Settings under `proxy.`: how the reverse proxy before subscribed services comes to certificates for their host names.

    Attributes:
        certificate_resolver: name of a certificate resolver in the proxy's own static configuration, by which it obtains them.
        certificates: folder with `<host>.crt` and `<host>.key` of those that operators bring; they go before the resolver.
    """

    certificate_resolver: str | None = None
    certificates: Path | None = None


@attrs.frozen
class LogSettings:
    """Settings under `log.`"""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


@attrs.frozen
class Source:
    """Where a value came from; `place` is the file, the variable's name or the flag, and empty for a default."""

    kind: Literal["default", "file", "environment", "flag"]
    place: str = ""


@attrs.frozen
class Effective:
    """One option as it is in force: a JSON-ready value in the file's own notation, and its source."""

    key: str
    value: object
    source: Source


@attrs.frozen
class Configuration:
    """Everything that one daemon is told.

    Attributes:
        data: the data directory; holds the store, the keys of the certificate authority and, unless moved, the vault's master key.
        sources: where each option that is not a default came from, by dotted key.
    """

    data: Path
    server: ServerSettings = attrs.field(factory=ServerSettings)
    vault: VaultSettings = attrs.field(factory=VaultSettings)
    proxy: ProxySettings = attrs.field(factory=ProxySettings)
    log: LogSettings = attrs.field(factory=LogSettings)
    federation: FederationSettings = attrs.field(factory=FederationSettings)
    sources: Mapping[str, Source] = attrs.field(factory=dict)

    @property
    def vault_key_file(self) -> Path:
        """Where the master key lives."""
        return self.vault.key_file or self.data / "vault.key"

    def to_settings(self) -> FederationSettings:
        """What handlers of the domain may read."""
        return self.federation

    def warnings(self) -> tuple[Problem, ...]:
        """What may stand, and yet will not do what its writer expects of it."""
        return tuple(
            Problem(doubt.keys[0], self.sources[doubt.keys[0]].place if doubt.keys[0] in self.sources else "", doubt.message)
            for doubt in _DOUBTS
            if not doubt.holds(self)
        )

    def effective(self) -> list[Effective]:
        """Every option in force with its source, in the order of the sections. Paths are shown, contents never."""
        default = Source("default")
        rows = []
        for option in OPTIONS:
            value = self.vault_key_file if option.key == "vault.key_file" else option.value_in(self)
            rows.append(Effective(option.key, _notation(option, value), self.sources.get(option.key, default)))
        return rows


@attrs.frozen
class Problem:
    """One thing wrong with the configuration: the option's dotted key (or the file), where it was set, and what to write instead."""

    key: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" + (f" (from {self.place})" if self.place else "")


class ConfigurationError(Exception):
    """The configuration is unusable; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"the configuration has {len(problems)} problem{'s' if len(problems) > 1 else ''}:\n{lines}")
        self.problems = problems


# --- The options, derived from the sections -------------------------------------------------------------------------


@attrs.frozen
class Option:
    """One configurable value.

    Attributes:
        path: dotted key, split.
        type: what the value is read as.
        attribute: attribute path inside `Configuration`.
        member: attribute of a `Limit` inside the mapping that `attribute` leads to, for rate limits; `path[2]` is the limit's name.
    """

    path: tuple[str, ...]
    type: Any
    attribute: tuple[str, str]
    member: str | None = None

    @property
    def key(self) -> str:
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return ENVIRONMENT_PREFIX + "_".join(self.path).upper()

    def value_in(self, configuration: Configuration) -> Any:
        """The value in force."""
        section, name = self.attribute
        value = getattr(getattr(configuration, section), name)
        return value if self.member is None else getattr(value[self.path[2]], self.member)


# Options whose key has a level more than their attribute.
_NESTED_KEYS: Final = {
    ("federation", "heartbeat_eager"): ("federation", "heartbeat", "eager"),
    ("federation", "peer_channel"): ("federation", "channel", "enabled"),
    ("federation", "hub_enabled"): ("federation", "hub", "enabled"),
    ("federation", "hub_connections"): ("federation", "hub", "connections"),
    ("federation", "hub_connections_per_peer"): ("federation", "hub", "connections_per_peer"),
    ("federation", "hub_connections_per_source"): ("federation", "hub", "connections_per_source"),
    ("federation", "hub_new_connections_per_peer"): ("federation", "hub", "new_connections_per_peer"),
    ("federation", "hub_new_connections_per_source"): ("federation", "hub", "new_connections_per_source"),
    ("federation", "hub_denied_sources"): ("federation", "hub", "denied_sources"),
    ("federation", "hub_rate_bytes"): ("federation", "hub", "rate_bytes"),
    ("federation", "hub_rate_bytes_per_peer"): ("federation", "hub", "rate_bytes_per_peer"),
    ("federation", "hub_idle"): ("federation", "hub", "idle"),
    ("federation", "hub_open"): ("federation", "hub", "open"),
    ("federation", "residency_mode"): ("federation", "residency", "mode"),
    ("federation", "residency_unknown"): ("federation", "residency", "unknown"),
}


def _options() -> Iterator[Option]:
    for section in ("server", "vault", "proxy", "log", "federation"):
        cls = typing.get_type_hints(Configuration)[section]
        hints = typing.get_type_hints(cls)
        for field in attrs.fields(cls):
            path = (section, field.name)
            if path == ("federation", "rate_limits"):
                yield from _limit_options()
            elif field.name.endswith("_s"):
                bare = (section, field.name.removesuffix("_s"))
                yield Option(_NESTED_KEYS.get(bare, bare), Duration, path)
            else:
                yield Option(_NESTED_KEYS.get(path, path), hints[field.name], path)


def _limit_options() -> Iterator[Option]:
    types = {"rate": ("rate", int), "per": ("per_s", Duration), "burst": ("burst", int)}
    for name in DEFAULT_RATE_LIMITS:
        for word, (member, kind) in types.items():
            yield Option(("federation", "rate_limits", name, word), kind, ("federation", "rate_limits"), member)


OPTIONS: Final = tuple(_options())
_BY_PATH: Final = {option.path: option for option in OPTIONS}
_TABLES: Final = frozenset(option.path[:depth] for option in OPTIONS for depth in range(1, len(option.path)))
_SECTION_PREFIXES: Final = tuple(f"{ENVIRONMENT_PREFIX}{name.upper()}_" for name in sorted({option.path[0] for option in OPTIONS}))


def _find(path: tuple[str, ...]) -> Option | None:
    found = _BY_PATH.get(path)
    if found is None and path and path[-1].endswith("_s"):
        found = _BY_PATH.get((*path[:-1], path[-1].removesuffix("_s")))
        return found if found is not None and found.type is Duration else None
    return found


# --- Loading --------------------------------------------------------------------------------------------------------


@attrs.frozen
class _Given:
    """A raw value that somebody wrote, with its source; `base` is the directory that a relative path starts from."""

    option: Option
    raw: object
    source: Source
    base: Path


def load(
    *,
    data: Path,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    required: tuple[str, ...] = (),
) -> Configuration:
    """The configuration in force for the data directory `data`.

    Args:
        file: TOML file; without it `powernode.toml` of the data directory, if there is one.
        environment: variables to read; those that do not name a section of ours are ignored.
        flags: values from the command line by dotted key; None means that the flag was not given.
        required: dotted keys of options that must have a value.

    Raises:
        ConfigurationError: with every problem found in all the sources.
    """
    problems: list[Problem] = []
    given: dict[str, _Given] = {}
    for layer in (_from_file(data, file, problems), _from_environment(environment or {}, problems), _from_flags(flags or {}, problems)):
        given.update((item.option.key, item) for item in layer)
    values: dict[str, Any] = {}
    for key, item in given.items():
        try:
            values[key] = _read(item)
        except ValueError as error:
            problems.append(Problem(key, _place(item.source), str(error)))
    configuration = _assemble(data, values, {key: given[key].source for key in values})
    problems += _relations(configuration, broken={problem.key for problem in problems})
    problems += [_absent(key) for key in required if key not in given and _BY_PATH[tuple(key.split("."))].value_in(configuration) is None]
    if problems:
        raise ConfigurationError(tuple(problems))
    return configuration


def _absent(key: str) -> Problem:
    option = _BY_PATH[tuple(key.split("."))]
    return Problem(key, "", f"must be set: in the file under [{option.path[0]}], as {option.variable}, or by its flag")


def _from_file(data: Path, file: Path | None, problems: list[Problem]) -> list[_Given]:
    path = file or data / DEFAULT_FILE
    if file is None and not path.is_file():
        return []
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ValueError(f"is larger than {FILE_BYTES_MAX} bytes")
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        problems.append(Problem(str(path), "", f"cannot be read: {error.strerror}"))
    except (ValueError, UnicodeDecodeError) as error:
        problems.append(Problem(str(path), "", f"is no TOML file: {error}"))
    else:
        return list(_walk(document, (), path, problems))
    return []


def _walk(table: Mapping[str, Any], above: tuple[str, ...], file: Path, problems: list[Problem]) -> Iterator[_Given]:
    seen: set[str] = set()
    for word, value in table.items():
        path = (*above, word)
        option = _find(path)
        if option is not None:
            if option.key in seen:
                problems.append(Problem(option.key, str(file), "is written twice, with and without the ending _s; keep one"))
            seen.add(option.key)
            yield _Given(option, value, Source("file", str(file)), file.parent)
        elif path in _TABLES and isinstance(value, Mapping):
            yield from _walk(value, path, file, problems)
        elif path in _TABLES:
            problems.append(Problem(".".join(path), str(file), f"must be a table, as in [{'.'.join(path)}]"))
        else:
            problems.append(Problem(".".join(path), str(file), f"is not a setting{_nearest('.'.join(path))}"))


def _from_environment(environment: Mapping[str, str], problems: list[Problem]) -> list[_Given]:
    by_variable = {option.variable: option for option in OPTIONS}
    by_variable |= {f"{option.variable}_S": option for option in OPTIONS if option.type is Duration}
    found: list[_Given] = []
    for name, text in sorted(environment.items()):
        option = by_variable.get(name)
        if option is not None:
            found.append(_Given(option, text, Source("environment", name), Path.cwd()))
        elif name.startswith(_SECTION_PREFIXES):
            close = difflib.get_close_matches(name, by_variable, n=1)
            problems.append(Problem(name, "environment", "is not a setting" + (f"; did you mean {close[0]}?" if close else "")))
    return found


def _from_flags(flags: Mapping[str, object], problems: list[Problem]) -> list[_Given]:
    found: list[_Given] = []
    for key, value in flags.items():
        option = _find(tuple(key.split(".")))
        if option is None:
            problems.append(Problem(key, "flag", f"is not a setting{_nearest(key)}"))
        elif value is not None:
            found.append(_Given(option, value, Source("flag", f"--{option.path[-1].replace('_', '-')}"), Path.cwd()))
    return found


def _nearest(key: str) -> str:
    keys = [option.key for option in OPTIONS] + [".".join(path) for path in _TABLES]
    close = difflib.get_close_matches(key, keys, n=1, cutoff=0.75)
    if not close:
        last = key.rpartition(".")[2]
        same_word = [other for other in keys if other.rpartition(".")[2] == last]
        close = same_word or [other for other in keys for word in difflib.get_close_matches(last, [other.rpartition(".")[2]], cutoff=0.8)]
    return f"; did you mean {close[0]}?" if close else ""


def _place(source: Source) -> str:
    return source.place or source.kind


def _assemble(data: Path, values: Mapping[str, Any], sources: Mapping[str, Source]) -> Configuration:
    arguments: dict[str, dict[str, Any]] = {"server": {}, "vault": {}, "proxy": {}, "log": {}, "federation": {}}
    rates = dict(DEFAULT_RATE_LIMITS)
    for option in OPTIONS:
        if option.key not in values:
            continue
        if option.member is not None:
            rates[option.path[2]] = evolve(rates[option.path[2]], **{option.member: values[option.key]})
        else:
            section, name = option.attribute
            arguments[section][name] = values[option.key]
    return Configuration(
        data=data,
        server=ServerSettings(**arguments["server"]),
        vault=VaultSettings(**arguments["vault"]),
        proxy=ProxySettings(**arguments["proxy"]),
        log=LogSettings(**arguments["log"]),
        federation=FederationSettings(**arguments["federation"], rate_limits=rates),
        sources=sources,
    )


# --- Reading one value ----------------------------------------------------------------------------------------------


def _read(item: _Given) -> Any:
    value = _CONVERTER.structure(item.raw, item.option.type)
    if isinstance(value, Path):
        # What a file names is meant relative to that file, what a person types relative to where they stand.
        value = item.base / value.expanduser()
    refine = _REFINEMENTS.get(item.option.key) or (_positive if item.option.type is Duration else None)
    if item.option.member in ("rate", "burst"):
        refine = _rate
    return value if refine is None else refine(value)


def _as_bool(value: object, _: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError("must be true or false")


def _as_int(value: object, _: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value.strip()):
        return int(value)
    raise ValueError("must be a whole number")


def _as_text(value: object, _: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value.strip()


def _as_texts(value: object, _: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return tuple(part.strip() for part in value)
    raise ValueError("must be a list of texts")


def _as_choice(value: object, kind: Any) -> Any:
    choices = typing.get_args(kind)
    if value in choices:
        return value
    close = difflib.get_close_matches(value, choices, n=1) if isinstance(value, str) else []
    raise ValueError(f"must be one of {', '.join(choices)}" + (f"; did you mean {close[0]}?" if close else ""))


def _as_object(value: object, _: Any) -> Mapping[str, object]:
    decoded = _decoded(value)
    if not isinstance(decoded, Mapping):
        raise ValueError("must be a table (in the environment: a JSON object)")
    return dict(decoded)


def _as_objects(value: object, _: Any) -> tuple[Mapping[str, object], ...]:
    decoded = _decoded(value)
    if not isinstance(decoded, list | tuple) or not all(isinstance(part, Mapping) for part in decoded):
        raise ValueError("must be a list of tables (in the environment: a JSON array of objects)")
    return tuple(dict(part) for part in decoded)


def _decoded(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


def _as_listener(value: object, _: Any) -> HostPort:
    text = value.strip() if isinstance(value, str) else ""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535 or (":" in bare and host == bare):
        raise ValueError("must be an address and a port, as in 0.0.0.0:8443 or [::]:8443")
    if bare == "localhost":
        bare = "127.0.0.1"
    try:
        return HostPort(str(ipaddress.ip_address(bare or "0.0.0.0")), int(port))
    except ValueError:
        raise ValueError(f"{bare!r} is no IP address; listen on an address of this machine, or on 0.0.0.0 or [::] for all") from None


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    hooks: dict[Any, Callable[[object, Any], Any]] = {
        bool: _as_bool,
        int: _as_int,
        str: _as_text,
        str | None: _as_text,
        Path | None: lambda value, _: Path(_as_text(value, _)),
        tuple[str, ...]: _as_texts,
        HostPort: _as_listener,
        Duration: lambda value, _: parse_duration(value),
        Mapping[str, object]: _as_object,
        tuple[Mapping[str, object], ...]: _as_objects,
    }
    for kind, hook in hooks.items():
        if isinstance(kind, type):
            converter.register_structure_hook(kind, hook)
        else:
            converter.register_structure_hook_func(functools.partial(operator.eq, kind), hook)
    converter.register_structure_hook_func(_is_choice, _as_choice)
    return converter


def _is_choice(kind: Any) -> bool:
    return typing.get_origin(kind) is typing.Literal


_CONVERTER = _converter()


# --- Checks of one value --------------------------------------------------------------------------------------------


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be longer than nothing")
    return value


def _rate(value: int) -> int:
    if not 1 <= value <= RATE_MAX:
        raise ValueError(f"must be between 1 and {RATE_MAX}")
    return value


def _counted(value: int) -> int:
    if value < 1:
        raise ValueError("must be at least 1")
    return value


def _paced(value: int) -> int:
    if not 1 <= value <= limits.HUB_NEW_CONNECTIONS_MAX:
        raise ValueError(f"must be from 1 to {limits.HUB_NEW_CONNECTIONS_MAX} connections a minute")
    return value


def _denied(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > limits.HUB_SOURCES_MAX:
        raise ValueError(f"must be at most {limits.HUB_SOURCES_MAX} networks")
    return _networks(value)


def _relay_rate(value: int) -> int:
    if not limits.HUB_RATE_BYTES_MIN <= value <= limits.HUB_RATE_BYTES_MAX:
        raise ValueError(f"must be from {limits.HUB_RATE_BYTES_MIN} to {limits.HUB_RATE_BYTES_MAX} bytes per second")
    return value


def _resolver(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value, re.ASCII):
        raise ValueError("must be the name of a certificate resolver: letters, digits, - and _")
    return value


def _between(shortest_s: float, longest_s: float) -> Callable[[float], float]:
    def check(value: float) -> float:
        if not shortest_s <= value <= longest_s:
            raise ValueError(f"must be between {format_duration(shortest_s)} and {format_duration(longest_s)}")
        return value

    return check


def _retention(value: float) -> float:
    if value and value < limits.AUDIT_RETENTION_MIN_S:
        raise ValueError(f"must be 0, which keeps everything, or at least {format_duration(limits.AUDIT_RETENTION_MIN_S)}")
    return value


def _token_ttl(value: float) -> int:
    return int(_between(limits.TOKEN_TTL_MIN_S, limits.TOKEN_TTL_MAX_S)(value))


def _loopback(value: HostPort) -> HostPort:
    if not ipaddress.ip_address(value.host).is_loopback:
        raise ValueError(
            f"{value.host} is refused: this port speaks plain HTTP, so it stays on loopback (127.0.0.1 or [::1]); "
            "operators elsewhere use the TLS port of server.listen"
        )
    return value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_network(text) for text in value)


def _proxies(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > limits.TRUSTED_PROXIES_MAX:
        raise ValueError(f"must be at most {limits.TRUSTED_PROXIES_MAX} proxies")
    return tuple(_proxy(text) for text in value)


def _proxy(text: str) -> str:
    if re.fullmatch(r"sha256:[0-9a-f]{64}", text, re.ASCII) is not None:
        return text
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError(
            f"{text[:80]!r} is neither the fingerprint of a proxy's certificate (sha256: and 64 digits of 0-9, a-f) nor the address or"
            " range of a further proxy in front"
        ) from None


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f"{error}; write a range as in 10.0.0.0/8 or fd00::/8") from None


def _addresses(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(ipaddress.ip_address(text)) for text in value)


_DNS_NAME = re.compile(r"(?:\*\.)?(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*")


def _dns_names(value: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(name.lower().rstrip(".") for name in value)
    for name in names:
        if not _DNS_NAME.fullmatch(name) or len(name) > 253:
            raise ValueError(f"{name!r} is no DNS name (write international names in their xn-- form)")
    return names


def _at_most(chars: int) -> Callable[[str], str]:
    def check(value: str) -> str:
        if len(value) > chars:
            raise ValueError(f"must not be longer than {chars} characters")
        return value

    return check


def _prefix(value: str) -> str:
    network = ipaddress.ip_network(_network(value))
    if not isinstance(network, ipaddress.IPv6Network) or not network.subnet_of(ipaddress.IPv6Network("fc00::/7")):
        raise ValueError("must be a unique local IPv6 prefix (RFC 4193), as in fd12:3456:789a::/48")
    if network.prefixlen not in (48, 56, 64):
        raise ValueError("must be 48, 56 or 64 bits long")
    return str(network)


def _slugs(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > limits.EXTENSION_SLUGS_MAX or any(not 1 <= len(slug) <= limits.NAME_CHARS_MAX for slug in value):
        raise ValueError(f"must be at most {limits.EXTENSION_SLUGS_MAX} names of at most {limits.NAME_CHARS_MAX} characters")
    return value


def _advertised(value: tuple[Mapping[str, object], ...]) -> tuple[Mapping[str, object], ...]:
    if len(value) > limits.ENDPOINTS_MAX:
        raise ValueError(f"must have at most {limits.ENDPOINTS_MAX} entries")
    return tuple(_endpoint(index, entry) for index, entry in enumerate(value))


def _endpoint(index: int, entry: Mapping[str, object]) -> Mapping[str, object]:
    unknown = entry.keys() - {"url", "scope", "priority", "cidr_hint", "via"}
    if unknown or "url" not in entry:
        raise ValueError(f"entry {index} must have the key url, and may have scope, priority, cidr_hint, via" + _listing(unknown))
    url, scope, priority = canonical_url(entry["url"]), entry.get("scope", "wan"), _as_int(entry.get("priority", 100), int)
    if scope not in ("lan", "sdwan", "wan"):
        raise ValueError(f"entry {index}: scope must be lan, sdwan or wan")
    if not 0 <= priority <= limits.ENDPOINT_PRIORITY_MAX:
        raise ValueError(f"entry {index}: priority must be between 0 and {limits.ENDPOINT_PRIORITY_MAX}")
    hint = {"cidr_hint": _network(_as_text(entry["cidr_hint"], str))} if "cidr_hint" in entry else {}
    problems: list[EntryProblem] = []
    via = parse_hubs(entry.get("via"), url, problems, place=f"entry {index}")
    if problems:
        raise ValueError(f"{problems[0].field} {problems[0].message}")
    return {"url": url, "scope": scope, "priority": priority, **hint, **({"via": list(via)} if via else {})}


def _listing(unknown: set[str]) -> str:
    return f"; not {', '.join(sorted(unknown))}" if unknown else ""


_REFINEMENTS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "server.public_url": canonical_url,
    "server.operator_listen": _loopback,
    "server.dns_names": _dns_names,
    "server.ip_addresses": _addresses,
    "server.grace": lambda value: value,
    "proxy.certificate_resolver": _resolver,
    "server.connections": _counted,
    "server.connections_per_source": _counted,
    "server.channels": _counted,
    "federation.token_ttl": _token_ttl,
    "federation.audit_retention": _retention,
    "federation.decision_dedup": _between(limits.LIVENESS_INTERVAL_S, limits.DAY_S),
    "federation.anchor_overlap": _between(limits.OVERLAP_DAYS_MIN * limits.DAY_S, limits.OVERLAP_DAYS_MAX * limits.DAY_S),
    "federation.managed_grant_ttl": _between(limits.GRANT_TTL_SECONDS_MIN, limits.GRANT_TTL_DAYS_MAX * limits.DAY_S),
    "federation.approval_timeout": _between(APPROVAL_TIMEOUT_MIN_S, APPROVAL_TIMEOUT_MAX_S),
    "federation.accept_block_after": _counted,
    **{f"federation.hub.{name}": _counted for name in ("connections", "connections_per_peer", "connections_per_source")},
    **{f"federation.hub.{name}": _paced for name in ("new_connections_per_peer", "new_connections_per_source")},
    "federation.hub.denied_sources": _denied,
    **{f"federation.hub.{name}": _relay_rate for name in ("rate_bytes", "rate_bytes_per_peer")},
    "federation.allowed_networks": _networks,
    "federation.trusted_proxies": _proxies,
    "federation.data_residency": _at_most(limits.NAME_CHARS_MAX),
    "federation.operator_contact": _at_most(limits.DISCLOSURE_CHARS_MAX),
    "federation.jurisdiction": _at_most(limits.DISCLOSURE_CHARS_MAX),
    "federation.prefix": _prefix,
    "federation.extension_slugs": _slugs,
    "federation.advertised_endpoints": _advertised,
}
assert set(_REFINEMENTS) <= {option.key for option in OPTIONS}


# --- Relations between values ---------------------------------------------------------------------------------------


@attrs.frozen
class _Relation:
    """What must hold between options; `keys` names them, and the first one carries the problem."""

    keys: tuple[str, ...]
    holds: Callable[[Configuration], bool]
    message: str


def _overlap(one: HostPort, other: HostPort) -> bool:
    return one.port == other.port != 0 and (one.host == other.host or one.host in ("0.0.0.0", "::"))


_RELATIONS: Final = (
    _Relation(
        ("federation.stale_after", "federation.heartbeat_interval"),
        lambda c: c.federation.stale_after_s > 2 * c.federation.heartbeat_interval_s,
        "must be longer than twice federation.heartbeat_interval, or one lost heartbeat would degrade a healthy peer",
    ),
    _Relation(
        ("federation.cert_renew_at", "federation.cert_warn"),
        lambda c: c.federation.cert_renew_at_s > c.federation.cert_warn_s,
        "must be longer than federation.cert_warn, so that a renewal is tried before anybody is warned",
    ),
    _Relation(
        ("federation.cert_ttl", "federation.cert_renew_at"),
        lambda c: c.federation.cert_ttl_s > c.federation.cert_renew_at_s,
        "must be longer than federation.cert_renew_at, or a new certificate would at once be due for renewal",
    ),
    _Relation(
        ("federation.request_deadline", "federation.request_timeout"),
        lambda c: c.federation.request_deadline_s > c.federation.request_timeout_s,
        "must be longer than federation.request_timeout, which is a part of it",
    ),
    _Relation(
        ("federation.request_timeout", "federation.probe_connect"),
        lambda c: c.federation.request_timeout_s > c.federation.probe_connect_s,
        "must be longer than federation.probe_connect, which is a part of it",
    ),
    _Relation(
        ("federation.hub.enabled", "federation.channel.enabled"),
        lambda c: c.federation.peer_channel or not c.federation.hub_enabled,
        "needs federation.channel.enabled, because peers behind a hub are called on the channels that they open",
    ),
    _Relation(
        ("federation.hub.connections_per_peer", "federation.hub.connections"),
        lambda c: c.federation.hub_connections_per_peer <= c.federation.hub_connections,
        "must not exceed federation.hub.connections",
    ),
    _Relation(
        ("federation.hub.rate_bytes_per_peer", "federation.hub.rate_bytes"),
        lambda c: c.federation.hub_rate_bytes_per_peer <= c.federation.hub_rate_bytes,
        "must not exceed federation.hub.rate_bytes",
    ),
    _Relation(
        ("server.certificate_file", "server.key_file"),
        lambda c: (c.server.certificate_file is None) == (c.server.key_file is None),
        "goes with server.key_file: set both or neither",
    ),
    _Relation(
        ("server.connections_per_source", "server.connections"),
        lambda c: c.server.connections_per_source <= c.server.connections,
        "must not exceed server.connections, of which it is a part",
    ),
    _Relation(
        ("server.operator_listen", "server.listen"),
        lambda c: not _overlap(c.server.listen, c.server.operator_listen),
        "needs another port than server.listen",
    ),
)


def _heartbeats_admitted(configuration: Configuration) -> bool:
    """Whether peers that are set up as usual, or like ourselves, admit each of our heartbeats."""
    limits = (DEFAULT_RATE_LIMITS["heartbeat_per_peer"], configuration.federation.rate_limits["heartbeat_per_peer"])
    return any(configuration.federation.heartbeat_interval_s * limit.rate >= limit.per_s for limit in limits)


_DOUBTS: Final = (
    _Relation(
        ("federation.heartbeat_interval", "federation.rate_limits.heartbeat_per_peer"),
        _heartbeats_admitted,
        "is shorter than what peers admit under the default federation.rate_limits.heartbeat_per_peer (one heartbeat in "
        f"{format_duration(DEFAULT_RATE_LIMITS['heartbeat_per_peer'].per_s / DEFAULT_RATE_LIMITS['heartbeat_per_peer'].rate)}), so they "
        "refuse some with rate_limited; write a longer one, or have the limit raised here and at every peer",
    ),
)


def _relations(configuration: Configuration, *, broken: set[str]) -> list[Problem]:
    # A relation with a value that could not be read would only repeat that problem in other words.
    return [
        Problem(relation.keys[0], "", relation.message)
        for relation in _RELATIONS
        if broken.isdisjoint(relation.keys) and not relation.holds(configuration)
    ]


def _notation(option: Option, value: Any) -> object:
    if value is None or (isinstance(value, bool | int) and option.type is not Duration):
        return value
    if option.type is Duration:
        return format_duration(value)
    if isinstance(value, Path | HostPort):
        return str(value)
    if isinstance(value, tuple):
        return [dict(part) if isinstance(part, Mapping) else part for part in value]
    return dict(value) if isinstance(value, Mapping) else value


assert all(isinstance(limit, Limit) for limit in DEFAULT_RATE_LIMITS.values())
assert not _relations(Configuration(data=Path()), broken=set())
