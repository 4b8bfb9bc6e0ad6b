"""What went wrong in a running daemon goes wrong again in the simulator, turn by turn, and no secret comes along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner

from api.flight import FLIGHT_NAME
from runtime.clock import iso
from sim.cli import sim
from sim.record import NoRecordingError, document
from sim.scenario.load import load
from sim.scenario.run import run
from tests.e2e.broken_daemon import broken
from tests.support.daemons import PEERS, Daemon, both_active, daemons, poll, propose, reaches, started

pytestmark = pytest.mark.e2e

BROKEN = ("-m", "tests.e2e.broken_daemon")


@attrs.frozen
class Recorded:
    """What the daemon went through: its row, the token that it minted, the statuses of the row, and the recording."""

    daemon: Daemon
    peer_id: str
    token: str
    statuses: tuple[str, ...]
    file: Path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """A broken daemon that has paired with a sound one, and the recording of it."""
    folder = tmp_path_factory.mktemp("recording")
    a, b = Daemon("a", folder / "a", launcher=BROKEN), Daemon("b", folder / "b")
    with started(a, b):
        peer_id, token, invitation = propose(a, b)
        assert b.call("POST", f"{PEERS}/accept", {"invitation": invitation}).status == 200
        reaches(lambda: a.status(peer_id), "active")
        target = folder / "recording.toml"
        done = CliRunner().invoke(sim, ["record", "--data", str(a.data), "--actor", "peer", "--out", str(target)])
        assert done.exit_code == 0, done.output
        yield Recorded(a, peer_id, token, tuple(a.statuses(peer_id)), target)


def test_the_replay_reaches_the_same_wrong_transition(recorded: Recorded) -> None:
    assert recorded.statuses == ("proposed", "accepted", "active")
    with broken():
        result = run(load(recorded.file))
    assert [failure.checker for failure in result.failures] == ["transitions"]
    assert recorded.peer_id in result.failures[0].text
    assert "accepted" in result.failures[0].text
    assert "active" in result.failures[0].text


def test_the_replay_can_stop_before_it(recorded: Recorded) -> None:
    scenario = load(recorded.file)
    with broken():
        wrong = run(scenario).failures[0].at
        assert run(scenario, until=wrong - 1e-4).passed


def test_a_mended_program_ends_the_turn_otherwise(recorded: Recorded) -> None:
    result = run(load(recorded.file))
    assert [failure.checker for failure in result.failures] == ["recording"]
    assert "federation.peer.enrolled" in result.failures[0].text


def test_a_line_of_the_replay_stays_short_whatever_a_message_holds(recorded: Recorded) -> None:
    lines = CliRunner().invoke(sim, ["replay", str(recorded.file)]).stdout.splitlines()
    assert any(" step recorded_turn " in line for line in lines)
    assert max(map(len, lines)) < 700


def test_a_replay_is_the_same_every_time(recorded: Recorded) -> None:
    assert run(load(recorded.file)).digest == run(load(recorded.file)).digest


def test_no_secret_comes_along(recorded: Recorded) -> None:
    daemon = recorded.daemon
    told = recorded.file.read_text() + (daemon.data / "flight.json").read_text()
    assert recorded.token.partition(".")[0] not in told
    assert daemon.password not in told
    assert daemon.token not in told
    assert "PRIVATE KEY" not in told


def test_a_daemon_that_was_killed_leaves_its_last_recording(recorded: Recorded, tmp_path: Path) -> None:
    daemon = recorded.daemon
    if daemon.running:
        daemon.kill()
    target = tmp_path / "after.toml"
    done = CliRunner().invoke(sim, ["record", "--data", str(daemon.data), "--out", str(target)])
    assert done.exit_code == 0, done.output
    assert "no daemon runs" in done.output
    assert f"wrote at {iso((daemon.data / FLIGHT_NAME).stat().st_mtime)}" in done.output


def test_an_actor_that_is_not_in_the_recording_is_told_with_the_nearest_word() -> None:
    flight = {"actors": [{"actor": "peer/01", "turns": []}], "now": 0.0}
    with pytest.raises(NoRecordingError, match="did you mean 'peer'"):
        document(flight, actors=["peeer"])


def test_a_folder_without_a_recording_says_what_to_do(tmp_path: Path) -> None:
    done = CliRunner().invoke(sim, ["record", "--data", str(tmp_path), "--out", str(tmp_path / "x.toml")])
    assert done.exit_code == 1
    assert "no daemon runs on this folder" in done.output


# --- a channel, and what is lent ------------------------------------------------------------------------------------------


# At the ordinary interval, since the recorder keeps the last turns only; and as many heartbeats as the operators ask for.
CHANNEL = """\
channel.enabled = true
[federation.rate_limits.heartbeat_per_peer]
rate = 100000
burst = 100000
"""


def test_traffic_over_a_channel_and_under_a_grant_is_recorded_and_replayed(tmp_path: Path) -> None:
    with daemons(tmp_path, "a", "b", more=CHANNEL) as (a, b):
        at_a, _, invitation = propose(a, b)
        at_b = str(b.call("POST", f"{PEERS}/accept", {"invitation": invitation}).data["peer"]["id"])
        both_active(a, at_a, b, at_b)
        poll(lambda: "a channel opened" in a.log_file.read_text())
        made = a.call("POST", "/api/v1/system/platform/resources/NodeModule", {"attributes": {"name": "nginx"}})
        assert made.status == 201, made.body
        body = {"remote_subject": "read@b", "resource_kind": "NodeModule", "permission_scopes": ["read"], "ttl_seconds": 3_600}
        issued = a.call("POST", f"{PEERS}/{at_a}/grants", body)
        assert issued.status == 201, issued.body
        bearer = str(issued.data["bearer_token"])
        kept = b.call("POST", f"{PEERS}/{at_b}/received_grants", {"bearer_token": bearer})
        assert kept.status in (200, 201), kept.body
        read = b.call("GET", f"{PEERS}/{at_b}/remote_resources/NodeModule")
        assert read.status == 200, read.body
        assert a.call("POST", f"{PEERS}/{at_a}/grants/{issued.data['grant']['id']}/revoke", {"reason": "over"}).status == 200
        told = a.call("POST", f"{PEERS}/{at_a}/heartbeat", {})
        assert told.status == 200, told.body
        recordings = []
        for daemon in (a, b):
            recordings.append(tmp_path / f"{daemon.name}.toml")
            done = CliRunner().invoke(sim, ["record", "--data", str(daemon.data), "--out", str(recordings[-1])])
            assert done.exit_code == 0, done.output
    texts = [file.read_text() for file in recordings]
    assert all(bearer.partition(".")[2] not in text for text in texts)
    assert "grant_book/" in texts[0]
    assert "received_grant/" in texts[1]
    assert any("ChannelAnswered" in text for text in texts)
    for file in recordings:
        result = run(load(file))
        assert result.passed, (result.failures, result.last)
