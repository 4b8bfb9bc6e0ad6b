"""Configuration: precedence, all problems at once, checks of single values, relations between values, and sources."""

from __future__ import annotations

import contextlib
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.settings import DEFAULT_RATE_LIMITS, FederationSettings, Limit
from api.configuration import OPTIONS, Configuration, ConfigurationError, HostPort, Problem, Source, load
from api.durations import approximate, format_duration, parse_duration
from runtime.values import evolve


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "powernode.toml"
    file.write_text(text)
    return file


def problems_of(**arguments: object) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        load(data=Path("/nowhere"), **arguments)  # type: ignore[arg-type]
    return {problem.key: problem.message for problem in caught.value.problems}


# --- Precedence and sources -----------------------------------------------------------------------------------------


def test_later_layers_win_and_sources_tell(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        [server]
        listen = "0.0.0.0:1001"
        public_url = "https://from-file.example.com"
        dns_names = ["a.example.com"]
        [federation]
        heartbeat.eager = false
        """,
    )
    environment = {"POWERNODE_SERVER_LISTEN": "0.0.0.0:1002", "POWERNODE_SERVER_PUBLIC_URL": "https://from-environment.example.com"}
    loaded = load(data=tmp_path, environment=environment, flags={"server.listen": "0.0.0.0:1003", "server.dns_names": None})
    assert loaded.server.listen == HostPort("0.0.0.0", 1003)
    assert loaded.server.public_url == "https://from-environment.example.com"
    assert loaded.server.dns_names == ("a.example.com",)
    assert loaded.federation.heartbeat_eager is False
    sources = {row.key: row.source for row in loaded.effective()}
    assert sources["server.listen"] == Source("flag", "--listen")
    assert sources["server.public_url"] == Source("environment", "POWERNODE_SERVER_PUBLIC_URL")
    assert sources["server.dns_names"] == Source("file", str(file))
    assert sources["log.level"] == Source("default")


def test_nothing_given_is_the_domain_s_defaults() -> None:
    loaded = load(data=Path("/nowhere"))
    assert loaded == Configuration(data=Path("/nowhere"))
    assert loaded.to_settings() == FederationSettings()
    assert loaded.vault_key_file == Path("/nowhere/vault.key")


def test_every_option_reads_back_what_effective_shows() -> None:
    shown = {row.key: row.value for row in load(data=Path("/nowhere")).effective()}
    assert len(shown) == len(OPTIONS)
    again = load(data=Path("/nowhere"), flags=shown)
    assert evolve(again, sources={}, vault=Configuration(Path()).vault) == Configuration(data=Path("/nowhere"))


def test_every_setting_of_the_domain_can_be_configured() -> None:
    reached = {option.attribute[1] for option in OPTIONS if option.attribute[0] == "federation"}
    assert reached == {field.name for field in attrs.fields(FederationSettings)}


def test_the_environment_writes_lists_tables_and_numbers_as_text() -> None:
    environment = {
        "POWERNODE_FEDERATION_ALLOWED_NETWORKS": "10.0.0.0/8, fd00::/8",
        "POWERNODE_FEDERATION_HEARTBEAT_EAGER": "false",
        "POWERNODE_FEDERATION_CAPABILITIES": '{"catalog": true}',
        "POWERNODE_FEDERATION_RATE_LIMITS_ACCEPT_PER_SOURCE_BURST": "50",
        "POWERNODE_FEDERATION_REQUEST_TIMEOUT_S": "12",
        "POWERNODE_URL": "http://127.0.0.1:3000",
        "HOME": "/root",
    }
    federation = load(data=Path("/nowhere"), environment=environment).to_settings()
    assert federation.allowed_networks == ("10.0.0.0/8", "fd00::/8")
    assert federation.heartbeat_eager is False
    assert federation.capabilities == {"catalog": True}
    assert federation.request_timeout_s == 12.0
    assert federation.rate_limits["accept_per_source"] == Limit(10, 60.0, 50)
    assert federation.rate_limits["accept_overall"] == DEFAULT_RATE_LIMITS["accept_overall"]


def test_paths_of_the_file_start_at_the_file(tmp_path: Path) -> None:
    written(tmp_path, '[vault]\nkey_file = "keys/master"\n')
    assert load(data=tmp_path).vault_key_file == tmp_path / "keys/master"
    assert load(data=tmp_path, flags={"vault.key_file": "/run/secrets/master"}).vault_key_file == Path("/run/secrets/master")


# --- All problems at once -------------------------------------------------------------------------------------------


def test_one_error_lists_every_problem_of_every_source(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        typo = 1
        [server]
        lisen = "0.0.0.0:1"
        [log]
        level = "warn"
        [federation]
        stale_after = "soon"
        rate_limits.accept_per_sorce.rate = 1
        """,
    )
    with pytest.raises(ConfigurationError) as caught:
        load(
            data=tmp_path,
            environment={"POWERNODE_SERVER_PUBLIC_ULR": "https://a.example.com"},
            flags={"server.operator_listen": "0.0.0.0:3000"},
        )
    assert [(problem.key, problem.place) for problem in caught.value.problems] == [
        ("typo", str(file)),
        ("server.lisen", str(file)),
        ("federation.rate_limits.accept_per_sorce", str(file)),
        ("POWERNODE_SERVER_PUBLIC_ULR", "environment"),
        ("log.level", str(file)),
        ("federation.stale_after", str(file)),
        ("server.operator_listen", "--operator-listen"),
    ]
    text = str(caught.value)
    assert text.startswith("the configuration has 7 problems:")
    assert "did you mean server.listen?" in text
    assert "did you mean federation.rate_limits.accept_per_source?" in text
    assert "did you mean POWERNODE_SERVER_PUBLIC_URL?" in text
    assert "did you mean warning?" in text


@pytest.mark.parametrize(
    ("written_key", "meant"),
    [
        ("federation.heartbeat_intervall", "federation.heartbeat_interval"),
        ("listen", "server.listen"),
        ("server.heartbeat_interval", "federation.heartbeat_interval"),
        ("loging", None),
    ],
)
def test_the_nearest_word_is_offered(written_key: str, meant: str | None) -> None:
    message = problems_of(flags={written_key: 1})[written_key]
    assert message == ("is not a setting" if meant is None else f"is not a setting; did you mean {meant}?")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, "[server\n")
    assert "is no TOML file" in problems_of(file=file)[str(file)]
    assert "cannot be read" in problems_of(file=tmp_path / "absent.toml")[str(tmp_path / "absent.toml")]


def test_a_section_must_be_a_table_and_a_key_stands_once(tmp_path: Path) -> None:
    file = written(tmp_path, 'log = "info"\n[federation]\nstale_after = 300\nstale_after_s = 400\n')
    found = problems_of(file=file)
    assert found["log"] == "must be a table, as in [log]"
    assert "twice" in found["federation.stale_after"]


def test_a_required_option_says_how_to_set_it() -> None:
    message = problems_of(required=("server.public_url",))["server.public_url"]
    assert "[server]" in message
    assert "POWERNODE_SERVER_PUBLIC_URL" in message
    flags = {"server.public_url": "https://a.example.com"}
    assert load(data=Path("/nowhere"), flags=flags, required=("server.public_url",)).server.public_url == "https://a.example.com"


# --- Single values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["0.0.0.0:3000", "10.0.0.1:3000", "[::]:3000", "192.168.1.5:0"])
def test_the_operators_plain_port_stays_on_loopback(address: str) -> None:
    assert "loopback" in problems_of(flags={"server.operator_listen": address})["server.operator_listen"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [("127.0.0.1:0", HostPort("127.0.0.1", 0)), ("[::1]:3000", HostPort("::1", 3000)), ("localhost:5", HostPort("127.0.0.1", 5))],
)
def test_loopback_addresses_are_taken(text: str, meant: HostPort) -> None:
    assert load(data=Path("/nowhere"), flags={"server.operator_listen": text}).server.operator_listen == meant


@pytest.mark.parametrize("text", ["8443", "0.0.0.0", "0.0.0.0:65536", "::1:80", "example.com:80", "0.0.0.0:-1", ""])
def test_a_bad_listener_is_refused(text: str) -> None:
    assert "server.listen" in problems_of(flags={"server.listen": text})


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example.com",
        "https://",
        "https://[::1",
        "https://user:secret@a.example.com",
        "https://a.example.com?x=1",
        "https://a#b",
        "https://a:99999",
        7,
    ],
)
def test_a_bad_public_url_is_refused(url: object) -> None:
    assert "server.public_url" in problems_of(flags={"server.public_url": url})


def test_proxies_are_named_by_their_certificates() -> None:
    named = "sha256:" + "ab" * 32
    further = ["192.0.2.1", "10.0.0.0/8", "2001:db8::1/128"]
    loaded = load(data=Path("/nowhere"), flags={"federation.trusted_proxies": [named, *further]})
    assert loaded.to_settings().trusted_proxies == (named, "192.0.2.1/32", "10.0.0.0/8", "2001:db8::1/128")


def test_the_public_url_is_made_canonical() -> None:
    loaded = load(data=Path("/nowhere"), flags={"server.public_url": "https://A.Example.com:443/"})
    assert loaded.server.public_url == "https://a.example.com"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("federation.allowed_networks", ["10.0.0.1/8"]),
        ("federation.trusted_proxies", ["192.0.2.1/24"]),
        ("federation.trusted_proxies", ["proxy.example.com"]),
        ("federation.trusted_proxies", ["sha256:" + "AB" * 32]),
        ("federation.trusted_proxies", ["sha256:" + "ab" * 32] * 65),
        ("federation.prefix", "2001:db8::/48"),
        ("federation.prefix", "fd00::/40"),
        ("federation.token_ttl", "31d"),
        ("federation.anchor_overlap", "23h"),
        ("federation.anchor_overlap", "31d"),
        ("federation.approval_timeout", "59s"),
        ("federation.approval_timeout", "31d"),
        ("federation.decision_dedup", "59s"),
        ("federation.decision_dedup", "25h"),
        ("federation.heartbeat.eager", "yes"),
        ("federation.rate_limits.accept_overall.rate", 0),
        ("federation.rate_limits.accept_overall.burst", True),
        ("federation.advertised_endpoints", [{"url": "https://a.example.com", "scope": "moon"}]),
        ("federation.advertised_endpoints", [{"uri": "https://a.example.com"}]),
        ("federation.advertised_endpoints", [{"url": "https://a.example.com", "via": ["http://h.example.com"]}]),
        ("federation.advertised_endpoints", [{"url": "https://192.0.2.1", "via": ["https://h.example.com"]}]),
        ("federation.hub.denied_sources", ["192.0.2.1/24"]),
        ("federation.hub.new_connections_per_source", 0),
        ("federation.capabilities", "[]"),
        ("federation.capabilities", "{"),
        ("federation.data_residency", "x" * 65),
        ("federation.heartbeat_interval", 0),
        ("server.dns_names", ["exa mple.com"]),
        ("server.ip_addresses", ["300.1.1.1"]),
        ("log.format", "xml"),
    ],
)
def test_a_bad_value_is_refused(key: str, value: object) -> None:
    assert set(problems_of(flags={key: value})) == {key}


# --- Relations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "key"),
    [
        ({"federation.stale_after": "2m"}, "federation.stale_after"),
        ({"federation.cert_renew_at": "30d"}, "federation.cert_renew_at"),
        ({"federation.cert_ttl": "35d"}, "federation.cert_ttl"),
        ({"federation.request_deadline": "10s"}, "federation.request_deadline"),
        ({"federation.request_timeout": "200ms"}, "federation.request_timeout"),
        ({"server.certificate_file": "/a.pem"}, "server.certificate_file"),
        ({"server.listen": "0.0.0.0:3000"}, "server.operator_listen"),
    ],
)
def test_relations_between_values_hold(flags: dict[str, object], key: str) -> None:
    assert set(problems_of(flags=flags)) == {key}


def test_an_unreadable_value_is_reported_once() -> None:
    assert set(problems_of(flags={"federation.stale_after": "soon"})) == {"federation.stale_after"}


def test_a_problem_names_its_place() -> None:
    assert str(Problem("log.level", "--log-level", "is wrong")) == "log.level: is wrong (from --log-level)"


# --- Durations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90s", 90.0),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("7d", 604_800.0),
        ("200ms", 0.2),
        ("1h30m", 5400.0),
        (60, 60.0),
        ("0.5", 0.5),
        (0, 0.0),
    ],
)
def test_durations_are_read(value: object, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value", ["", "soon", "5 m", "-5s", "1m1h", "1s1s", "5w", "٣s", -1, float("inf"), float("nan"), True, None, [], "9" * 65]
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        parse_duration(value)


@given(st.integers(min_value=0, max_value=10 * 365 * 86_400 * 1000))
def test_a_formatted_duration_reads_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, rel=1e-12)


@given(st.text(alphabet="0123456789.dhms -", max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_duration(text) >= 0


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0s"), (42.9, "42s"), (61, "1m 1s"), (604_799, "6d 23h"), (86_460, "1d"), (-5, "0s")])
def test_durations_are_shown_short(seconds: float, shown: str) -> None:
    assert approximate(seconds) == shown


# --- What may stand and yet disappoints -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "doubted"),
    [
        ({}, []),
        ({"HEARTBEAT_INTERVAL": "10s"}, []),
        ({"HEARTBEAT_INTERVAL": "9999ms"}, ["federation.heartbeat_interval"]),
        ({"HEARTBEAT_INTERVAL": "5s", "RATE_LIMITS_HEARTBEAT_PER_PEER_RATE": "11"}, ["federation.heartbeat_interval"]),
        ({"HEARTBEAT_INTERVAL": "5s", "RATE_LIMITS_HEARTBEAT_PER_PEER_RATE": "12"}, []),
        ({"RATE_LIMITS_HEARTBEAT_PER_PEER_RATE": "1"}, []),
    ],
)
def test_heartbeats_that_peers_would_refuse_are_doubted(environment: dict[str, str], doubted: list[str]) -> None:
    loaded = load(data=Path("/nowhere"), environment={f"POWERNODE_FEDERATION_{key}": value for key, value in environment.items()})
    assert [warning.key for warning in loaded.warnings()] == doubted
    for warning in loaded.warnings():
        assert "federation.rate_limits.heartbeat_per_peer" in warning.message
        assert warning.place == "POWERNODE_FEDERATION_HEARTBEAT_INTERVAL"
