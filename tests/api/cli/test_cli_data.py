"""The commands that work on a data directory: backup, restore, doctor."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from actors.hub.record import HubRecord
from actors.ports import RootKey
from actors.registry import DOMAIN_VERSION, KINDS
from actors.rotation.record import Root, RotationRecord
from api.cli import daemon_checks, data_checks
from api.cli.doctor import survey
from api.cli.examination import Ground, Surroundings, Verdict, examine
from api.cli.transport import Exchange
from api.configuration import load
from api.daemon import store_file
from api.started import STARTED_NAME, flags_of_last_start, note_start
from net.authority import Authority
from net.credentials import Credentials
from net.folder_lock import FolderLock
from net.vault import Vault
from runtime.random import SeededRandomness
from runtime.store.port import AuditDraft, EventDraft, Put, Unit
from runtime.store.sqlite import SqliteStore
from tests.support.daemons import PATIENCE_S
from tests.support.operator_api import TOKEN, WALL, OperatorApi, Run, SystemTime, TransportFailed, lines, listing, peer, refused

INSTANCE_ID = "0190e1c4-3333-7000-8000-000000000004"


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a platform that has been started once; to be copied, never changed."""
    folder = tmp_path_factory.mktemp("started") / "data"
    folder.mkdir(mode=0o700)
    chance = SeededRandomness(1)
    store = SqliteStore.open(store_file(folder), KINDS, deliver=lambda callback: callback())
    store.meta_set("instance_id", INSTANCE_ID)
    done: list[Any] = []
    store.commit([Unit((EventDraft("federation.peer.active", "low", WALL - 60, None, {}),))], done.append)
    store.close()
    vault = Vault.open_or_create(folder / "vault.key", chance)
    Authority.open_or_create(folder / "authority", instance_id=INSTANCE_ID, clock=SystemTime(), randomness=chance, vault=vault)
    Credentials.open_or_create(folder / "token.key", vault=vault, randomness=chance)
    (folder / "powernode.toml").write_text('[server]\npublic_url = "https://platform-a.example.com"\n')
    return folder


@pytest.fixture
def data(started: Path, tmp_path: Path) -> Path:
    """A data directory of the test's own."""
    return shutil.copytree(started, tmp_path / "data")


@attrs.define
class Told(Surroundings):
    """An operating system that says what a test wants."""

    free: int = 10**12
    resolves: bool = True
    bindable: bool = True
    address: str = "203.0.113.7"

    def free_bytes(self, path: Path) -> int:
        return self.free

    def addresses(self, host: str) -> tuple[str, ...]:
        if not self.resolves:
            raise OSError("Name or service not known")
        return (self.address,)

    def bind(self, host: str, port: int) -> None:
        if not self.bindable:
            raise OSError(98, "Address already in use")


def examined(api: OperatorApi, data: Path, told: Told | None = None) -> dict[str, Verdict]:
    ground: Ground = survey(api.application(), data, None)
    ground.surroundings = told or Told()
    return {verdict.name: verdict for verdict in examine(ground, data_checks.registry.checks, needs=frozenset({"data"}))}


# --- doctor on data -------------------------------------------------------------------------------------------------


def test_a_sound_platform_has_no_problems(api: OperatorApi, data: Path) -> None:
    verdicts = examined(api, data)
    assert {name: verdict.problems for name, verdict in verdicts.items() if verdict.problems} == {}
    assert {name for name, verdict in verdicts.items() if verdict.skipped} == {"public_url_leads_here"}


def test_a_platform_that_was_started_by_flags_is_judged_by_them(api: OperatorApi, data: Path) -> None:
    file = data / "powernode.toml"
    flags = {"server.public_url": "https://a.example.com", "server.listen": "127.0.0.1:0", "log.level": "debug"}
    file.write_text("")
    assert examined(api, data)["public_url"].problems
    note_start(load(data=data, file=None, flags=flags))
    verdicts = examined(api, data)
    assert {name: verdict.problems for name, verdict in verdicts.items() if verdict.problems} == {}
    assert {key: str(value) for key, value in flags_of_last_start(data).items()} == {key: str(value) for key, value in flags.items()}
    note_start(load(data=data, file=None))
    assert flags_of_last_start(data) == {}
    assert examined(api, data)["public_url"].problems


@pytest.mark.parametrize("content", ["", "[]", '{"flags": 1}', '{"flags": {"server.nonsense": 1}}', "\xff"])
def test_a_note_of_flags_that_cannot_be_read_is_none(data: Path, content: str) -> None:
    (data / STARTED_NAME).write_text(content, "latin-1")
    assert flags_of_last_start(data) == {}


def test_a_directory_that_is_not_there_yet_is_skipped_not_blamed(api: OperatorApi, tmp_path: Path) -> None:
    verdicts = examined(api, tmp_path / "absent")
    assert verdicts["store_integrity"].skipped == "there is no data directory yet"
    assert not (tmp_path / "absent").exists()


def spoil_mode(data: Path) -> None:
    data.chmod(0o755)


def spoil_key_mode(data: Path) -> None:
    (data / "vault.key").chmod(0o640)


def spoil_key(data: Path) -> None:
    (data / "vault.key").write_bytes(b"x" * 32)


def lose_key(data: Path) -> None:
    (data / "vault.key").unlink()


def spoil_configuration(data: Path) -> None:
    (data / "powernode.toml").write_text("[server]\nlisen = 1\n")


def forget_url(data: Path) -> None:
    (data / "powernode.toml").write_text("")


def hurry_heartbeats(data: Path) -> None:
    (data / "powernode.toml").write_text('[server]\npublic_url = "https://a.example.com"\n[federation]\nheartbeat_interval = "9s"\n')


def spoil_store(data: Path) -> None:
    content = bytearray(store_file(data).read_bytes())
    content[4096 * 2 : 4096 * 4] = b"\xff" * (4096 * 2)
    store_file(data).write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "name", "said"),
    [
        (spoil_mode, "folder_permissions", "mode 0755"),
        (spoil_key_mode, "key_files", "chmod 600"),
        (spoil_key, "authority", "another master key"),
        (lose_key, "key_files", "is missing"),
        (spoil_configuration, "configuration", "did you mean server.listen?"),
        (forget_url, "public_url", "is not set"),
        (hurry_heartbeats, "configuration_warnings", "federation.rate_limits.heartbeat_per_peer"),
        (spoil_store, "store_integrity", ""),
    ],
)
def test_each_check_notices_its_trouble(api: OperatorApi, data: Path, spoil: Any, name: str, said: str) -> None:
    spoil(data)
    verdict = examined(api, data)[name]
    assert verdict.problems
    assert said in verdict.problems[0]
    assert verdict.remedy


def test_what_peers_would_refuse_is_told_where_the_configuration_is_shown(run: Run, data: Path) -> None:
    hurry_heartbeats(data)
    shown = run("config", "show", "--data", str(data))
    assert "warning: federation.heartbeat_interval: " in shown.stderr
    assert "federation.rate_limits.heartbeat_per_peer" in shown.stderr
    assert "warning" not in shown.stdout


def test_what_peers_would_refuse_is_told_at_the_start(data: Path) -> None:
    hurry_heartbeats(data)
    command = [sys.executable, "-m", "api.cli", "serve", "--data", str(data)]
    # A directory in use ends the start right behind the warning.
    with FolderLock.acquire(data):
        started = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert started.returncode == 1
    assert "federation.rate_limits.heartbeat_per_peer" in started.stderr


@pytest.mark.parametrize(
    ("told", "name"), [(Told(free=1), "disk_space"), (Told(resolves=False), "public_url"), (Told(bindable=False), "ports")]
)
def test_each_check_notices_the_machine_s_trouble(api: OperatorApi, data: Path, told: Told, name: str) -> None:
    assert examined(api, data, told)[name].problems


@pytest.mark.parametrize(("wall", "said"), [(0.0, "before this release"), (WALL - 7200, "the clock went back")])
def test_a_clock_that_is_wrong_is_noticed(api: OperatorApi, data: Path, monkeypatch: pytest.MonkeyPatch, wall: float, said: str) -> None:
    monkeypatch.setattr(SystemTime, "wall", lambda self: wall)
    assert any(said in problem for problem in examined(api, data)["clock"].problems)


def test_an_ended_root_is_noticed(api: OperatorApi, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemTime, "wall", lambda self: WALL + 40 * 365 * 86_400)
    assert examined(api, data)["certificates"].problems


def test_after_a_rotation_it_is_the_root_in_force_that_must_not_have_ended(
    api: OperatorApi, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Root(fingerprint="sha256:2", key=RootKey("pem", b"sealed"), not_after=WALL + 40 * 365 * 86_400)
    store = SqliteStore.open(store_file(data), KINDS, deliver=lambda callback: callback())
    store.commit([Unit((Put("rotation", RotationRecord(id=INSTANCE_ID, version=1, current=root), None),))], lambda result: None)
    store.close()
    monkeypatch.setattr(SystemTime, "wall", lambda self: WALL + 20 * 365 * 86_400)
    assert not examined(api, data)["certificates"].problems
    monkeypatch.setattr(SystemTime, "wall", lambda self: WALL + 41 * 365 * 86_400)
    assert examined(api, data)["certificates"].problems


@pytest.mark.parametrize(
    ("answer", "problems"),
    [
        (Exchange(200, {}, {"status": "live"}), 0),
        (Exchange(200, {}, {"hello": "world"}), 1),
        (Exchange(502, {}, {}), 1),
        (TransportFailed("untrusted", "another CA"), 1),
    ],
)
def test_the_public_url_must_lead_to_this_platform(api: OperatorApi, data: Path, answer: object, problems: int) -> None:
    api.answers["health_live"] = answer
    with FolderLock.acquire(data):
        verdicts = examined(api, data)
    assert len(verdicts["public_url_leads_here"].problems) == problems
    assert verdicts["ports"].skipped


@pytest.mark.parametrize(("changes", "skipped"), [({}, True), ({"announced": False}, False), ({"relayed": "withdrawn"}, False)])
def test_a_name_that_leads_nowhere_is_no_fault_where_peers_are_told_of_a_hub(
    api: OperatorApi, data: Path, changes: dict[str, Any], skipped: bool
) -> None:
    store = SqliteStore.open(store_file(data), KINDS, deliver=lambda callback: callback())
    api.answers["health_live"] = Exchange(502, {}, {})
    facts: dict[str, Any] = {"relayed": "permitted", **changes}
    consent = HubRecord(id=INSTANCE_ID, version=1, account_id=INSTANCE_ID, peering_epoch=0, updated_at=WALL, **facts)
    store.commit([Unit((Put("hub_consent", consent, None),))], lambda result: None)
    store.close()
    with FolderLock.acquire(data):
        verdicts = examined(api, data, Told(resolves=False))
    assert (verdicts["public_url"].skipped is not None) is skipped
    assert bool(verdicts["public_url"].problems) is not skipped
    assert (verdicts["public_url_leads_here"].skipped is not None) is skipped


def test_examining_changes_nothing(api: OperatorApi, data: Path) -> None:
    before = {path: path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file() and path.suffix not in (".sqlite3-shm",)}
    examined(api, data)
    assert {path: path.read_bytes() for path in before} == before


# --- doctor on a daemon ---------------------------------------------------------------------------------------------


def healthy(api: OperatorApi) -> None:
    api.answers |= {
        "health_live": Exchange(200, {}, {"status": "live"}),
        "health_ready": Exchange(200, {}, {"status": "ready", "checks": {"store_writable": True}}),
        "list_peers": listing([peer()]),
        "list_governance_findings": listing([]),
    }


def test_a_healthy_daemon_exits_with_0(api: OperatorApi, run: Run) -> None:
    healthy(api)
    result = run("doctor", "--json")
    assert result.exit_code == 0, result.output
    [document] = lines(result)
    assert document["ok"] is True
    assert {row["name"]: row["verdict"] for row in document["checks"]} == {
        "daemon_answers": "pass",
        "daemon_ready": "pass",
        "private_peers": "skipped",
        "peers_reachable": "pass",
        "findings": "pass",
    }


@pytest.mark.parametrize(
    ("route", "answer", "name"),
    [
        ("health_live", TransportFailed("unreachable", "refused"), "daemon_answers"),
        ("health_ready", Exchange(503, {}, {"status": "not_ready", "checks": {"store_writable": False}}), "daemon_ready"),
        ("list_peers", listing([peer(status="degraded", status_reason="no answer")]), "peers_reachable"),
        ("list_governance_findings", listing([{"severity": "high", "kind": "peer_cert_expired", "message": "It ended."}]), "findings"),
    ],
)
def test_a_serious_problem_exits_with_1_and_tells_its_remedy(api: OperatorApi, run: Run, route: str, answer: object, name: str) -> None:
    healthy(api)
    api.answers[route] = answer
    result = run("doctor", "--json")
    assert result.exit_code == 1
    [document] = lines(result)
    troubled = [row for row in document["checks"] if row["problems"]]
    assert [row["name"] for row in troubled] == [name]
    assert troubled[0]["remedy"] in run("doctor").stdout.replace("\n", " ")


def test_a_serious_finding_that_has_ended_troubles_nobody(api: OperatorApi, run: Run) -> None:
    healthy(api)
    ended = {"severity": "high", "kind": "peer_cert_expired", "message": "It ended.", "resolved_at": "2026-11-23T10:00:00.000Z"}
    api.answers["list_governance_findings"] = listing([ended])
    result = run("doctor", "--json")
    assert result.exit_code == 0, result.output


def test_without_a_login_the_rest_is_examined(api: OperatorApi, run: Run) -> None:
    healthy(api)
    api.answers["list_peers"] = api.answers["list_governance_findings"] = refused(401, "unauthenticated")
    result = run("doctor", "--json")
    assert result.exit_code == 0
    assert [row["skipped"] is not None for row in json.loads(result.stdout)["checks"]] == [False, False, True, True, True]


def test_a_peer_in_a_private_network_must_be_allowed(api: OperatorApi, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERNODE_TOKEN", TOKEN)
    healthy(api)
    ground = survey(api.application(), data, None)
    ground.surroundings = Told(address="10.1.2.3")
    found = {verdict.name: verdict for verdict in examine(ground, daemon_checks.registry.checks, needs=frozenset({"daemon"}))}
    assert found["private_peers"].problems == ("https://platform-b.example.com is at 10.1.2.3, which is refused as private",)
    (data / "powernode.toml").write_text('[federation]\nallowed_networks = ["10.0.0.0/8"]\n')
    ground = survey(api.application(), data, None)
    ground.surroundings = Told(address="10.1.2.3")
    found = {verdict.name: verdict for verdict in examine(ground, daemon_checks.registry.checks, needs=frozenset({"daemon"}))}
    assert found["private_peers"].word == "pass"


# --- backup and restore ---------------------------------------------------------------------------------------------


def test_a_backup_leaves_the_master_key_out_and_restores_with_it(api: OperatorApi, run: Run, data: Path, tmp_path: Path) -> None:
    archive, fresh = tmp_path / "backup.zip", tmp_path / "fresh"
    result = run("backup", "--data", str(data), str(archive))
    assert result.exit_code == 0, result.output
    assert "keep a copy of" in result.stderr
    assert b"vault.key" not in archive.read_bytes()
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    result = run("restore", "--data", str(fresh), "--vault-key", str(data / "vault.key"), str(archive))
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE((fresh / "vault.key").stat().st_mode) == 0o600
    (fresh / "powernode.toml").write_text('[server]\npublic_url = "https://platform-a.example.com"\n')
    assert [verdict.name for verdict in examined(api, fresh).values() if verdict.problems] == []


def test_a_backup_with_the_master_key_stands_alone(api: OperatorApi, run: Run, data: Path, tmp_path: Path) -> None:
    archive, fresh = tmp_path / "backup.zip", tmp_path / "fresh"
    [made] = lines(run("backup", "--data", str(data), "--with-vault-key", str(archive), "--json"))
    assert made["instance_id"] == INSTANCE_ID
    [restored] = lines(run("restore", "--data", str(fresh), str(archive), "--json"))
    assert restored["boot_epoch"] == made["boot_epoch"] + 1
    assert examined(api, fresh)["authority"].word == "pass"


def test_nothing_is_overwritten(run: Run, data: Path, tmp_path: Path) -> None:
    archive = tmp_path / "backup.zip"
    assert run("backup", "--data", str(data), str(archive)).exit_code == 0
    assert run("backup", "--data", str(data), str(archive)).exit_code == 1
    assert run("restore", "--data", str(data), str(archive)).exit_code == 1


def test_a_restore_says_that_entries_were_cut_off_an_audit_chain(run: Run, data: Path, tmp_path: Path) -> None:
    store = SqliteStore.open(store_file(data), KINDS, deliver=lambda callback: callback(), domain_version=DOMAIN_VERSION)
    store.commit([Unit(tuple(AuditDraft("x", "said", 1.0, "system", None, {"n": number}) for number in range(3)))], lambda result: None)
    store.close()
    with sqlite3.connect(store_file(data)) as database:
        database.execute("drop trigger store_audit_no_delete")
        database.execute("delete from store_audit where sequence = 3")
    archive, fresh = tmp_path / "backup.zip", tmp_path / "fresh"
    assert run("backup", "--data", str(data), str(archive)).exit_code == 0
    result = run("restore", "--data", str(fresh), str(archive))
    assert result.exit_code == 1
    assert "ends at entry 2, but 3 were written: the last were cut off; the backup was altered" in " ".join(result.stderr.split())
    assert "head of the audit ledger: 3:" in result.stderr
    assert store_file(fresh).exists()
    assert run("backup", "--data", str(tmp_path / "nothing"), str(tmp_path / "other.zip")).exit_code == 4
