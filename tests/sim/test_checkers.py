"""The registry of safety checkers: what is promised, who holds it, and that nothing of it is left to nobody."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sim.checkers
from actors.peer.ending import Ending
from actors.peer.record import PeerEvidence
from runtime.secret import Secret
from runtime.store.port import EventDraft, PutEvidence
from sim.checkers.registry import CHECKERS, ELSEWHERE, INVARIANTS, Commit, touched_by
from sim.checkers.secrecy import Secrecy, _words
from sim.scenario.failures import Failure
from sim.scenario.load import parse
from sim.scenario.run import run
from sim.scenario.write import to_toml

ROOT = Path(__file__).parent.parent.parent
JUDGED = re.compile(
    r"^(?:from|import) (actors\.(?:peer|door(?!\.call)|certificates|governance|operator)|net|runtime\.(?!store\.port|values ))",
    re.MULTILINE,
)


def anchors_of(page: Path) -> set[str]:
    """The places of a page that a link may name."""
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", CHECKERS)
def test_a_checker_has_a_meaning_something_that_touches_it_and_a_place_where_its_rule_is_written(name: str) -> None:
    cls = CHECKERS[name]
    assert cls.meaning.endswith(".")
    assert touched_by(cls)
    page, _, anchor = cls.source.partition("#")
    assert not anchor or anchor in anchors_of(ROOT / page), cls.source


def test_every_invariant_is_held_by_a_checker_or_it_is_said_why_not() -> None:
    held = {label for cls in CHECKERS.values() for label in cls.holds}
    assert held | ELSEWHERE.keys() == INVARIANTS.keys()
    assert not held & ELSEWHERE.keys()


def test_checkers_call_none_of_the_code_that_they_judge() -> None:
    folder = Path(sim.checkers.__file__).parent
    assert {file.name: found for file in sorted(folder.glob("*.py")) if (found := JUDGED.findall(file.read_text("utf-8")))} == {}


# --- what the search by chance has found -----------------------------------------------------------------------------------


def held(seed: int, for_: str, *steps: dict[str, Any], **more: Any) -> tuple[Failure, ...]:
    world = {"seed": seed, "for": for_}
    document = {"name": "x", "description": "x", "world": world, "platform": [{"name": "a"}, {"name": "b"}], "at": list(steps), **more}
    return run(parse(to_toml(document), "x.toml")).failures


PEERED: tuple[dict[str, Any], ...] = (
    {"t": 0, "do": "propose", "on": "a", "peer": "b"},
    {"t": 1, "do": "accept_invitation", "on": "b", "peer": "a"},
)


def test_a_clock_that_is_put_back_takes_back_no_evidence() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 2, "do": "suspend", "on": "a", "peer": "b"},
        {"t": 2, "do": "clock_step", "on": "a", "by": "-3s"},
        {"t": 3, "do": "peer_event", "on": "b", "peer": "a", "kind": "peer.compromise_disclosed"},
        {"t": 3.01, "do": "resume", "on": "a", "peer": "b"},
    )
    assert held(379048, "5s", *PEERED, *steps) == ()


def test_a_token_that_an_earlier_disk_shows_open_is_not_spent_there() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 1, "do": "keep_copy", "on": "a"},
        {"t": 1.1, "do": "put_back", "on": "a"},
        {"t": 2.1, "do": "accept_invitation", "on": "b", "peer": "a"},
    )
    assert held(286079, "4s", *PEERED, *steps) == ()


def test_a_row_becomes_active_as_much_later_as_its_disk_is_slow() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 0, "do": "propose", "on": "b", "peer": "a"},
        {"t": 0, "do": "propose", "on": "a", "peer": "b"},
        {"t": 0.3, "do": "slow_disk", "on": "a", "fsync": "10s"},
        {"t": 1, "do": "accept_invitation", "on": "b", "peer": "a"},
        {"t": 10, "do": "accept_invitation", "on": "a", "peer": "b"},
        {"t": 20.003, "do": "slow_disk", "on": "a", "fsync": "3m"},
        {"t": 30.02, "do": "suspend", "on": "b", "peer": "a"},
    )
    assert held(174002, "382s", *steps) == ()


ENDED_AND_PAUSED: tuple[dict[str, Any], ...] = (
    {"t": 2, "do": "revoke", "on": "a", "peer": "b"},
    {"t": 242, "do": "pause", "on": "b"},
)


def test_a_heartbeat_from_before_the_disk_was_read_again_is_no_longer_under_way() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 2, "do": "loss", "between": ["a", "b"], "rate": 1.0},
        {"t": 3, "do": "restart", "on": "a"},
        {"t": 3.301, "do": "disk_full", "on": "a"},
    )
    assert held(361199, "6s", *PEERED, *steps) == ()


def test_a_platform_on_an_earlier_copy_refuses_every_accept_alike() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 1, "do": "backup", "on": "a"},
        {"t": 2, "do": "restore", "on": "a"},
        {"t": 3, "do": "accept_invitation", "on": "b", "peer": "a"},
    )
    assert held(957853, "5s", PEERED[0], *steps) == ()


def test_a_busy_platform_refuses_by_the_row_that_it_has_taken_note_of() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 1, "do": "slow", "on": "b", "by": "10m"},
        {"t": 2, "do": "accept_invitation", "on": "b", "peer": "a"},
        {"t": 1019, "do": "accept_invitation", "on": "b", "peer": "a"},
    )
    link = {"between": ["a", "b"], "latency": ["3ms", "1s"]}
    assert held(490524, "1114s", PEERED[0], *steps, link=[link]) == ()


def test_a_heartbeat_that_waits_for_the_commit_of_another_is_contact() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 1.611, "do": "suspend", "on": "a", "peer": "b"},
        {"t": 1.641, "do": "resume", "on": "a", "peer": "b"},
    )
    platforms = [{"name": "a"}, {"name": "b", "fsync": "30ms"}]
    link = {"between": ["b", "a"], "latency": ["100ms", "100ms"]}
    assert held(313963, "4s", *PEERED, *steps, platform=platforms, link=[link]) == ()


def test_a_platform_that_is_wiped_gets_an_empty_disk() -> None:
    assert held(1, "9s", *PEERED, {"t": 5, "do": "disk_full", "on": "a"}, {"t": 8, "do": "wipe", "on": "a"}) == ()


def test_a_platform_that_is_wiped_and_too_slow_for_its_new_operator_is_no_exception() -> None:
    (failure,) = held(1, "9s", *PEERED, {"t": 5, "do": "slow", "on": "a", "by": "40s"}, {"t": 8, "do": "wipe", "on": "a"})
    assert failure.checker == "step"
    assert "does not answer its first operator" in failure.text


def test_an_end_completes_as_much_later_as_the_disk_has_become_slow_meanwhile() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 2, "do": "revoke", "on": "a", "peer": "b"},
        {"t": 4.1, "do": "slow_disk", "on": "a", "fsync": "10m"},
    )
    assert held(143632, "423s", *PEERED, *steps) == ()


def test_an_earlier_copy_on_a_full_disk_cannot_be_started_which_is_no_exception() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 4, "do": "keep_copy", "on": "a"},
        {"t": 5, "do": "disk_full", "on": "a"},
        {"t": 8, "do": "put_back", "on": "a"},
    )
    (failure,) = held(1, "9s", *PEERED, *steps)
    assert failure.checker == "step"
    assert "does not start" in failure.text


def test_a_process_that_stands_still_ends_no_peering() -> None:
    assert held(798401, "424s", *PEERED, *ENDED_AND_PAUSED) == ()


def test_a_process_that_stood_still_ends_its_peering_as_soon_as_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: tuple[dict[str, Any], ...] = (*PEERED, *ENDED_AND_PAUSED, {"t": 600, "do": "unpause", "on": "b"})
    assert held(1, "15m", *steps) == ()
    monkeypatch.setattr(Ending, "_drained", lambda actor, ctx, record: record)
    assert {failure.checker for failure in held(1, "15m", *steps)} == {"end_completes"}


def test_a_platform_that_has_stopped_over_its_disk_shows_the_silence_that_it_causes() -> None:
    steps: tuple[dict[str, Any], ...] = ({"t": 2, "do": "disk_full", "on": "a"}, {"t": 408, "do": "look", "on": "a", "peer": "b"})
    assert held(54604, "409s", *PEERED, *steps) == ()


def test_a_bearer_whose_delivery_has_no_answer_is_told_to_the_operator_once() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 2, "do": "slow_disk", "on": "a", "fsync": "30m"},
        {"t": 2, "do": "issue_grant", "on": "b", "peer": "a", "deliver": True},
    )
    assert held(721, "13s", *PEERED, *steps) == ()


def test_a_call_that_waits_for_its_own_commit_may_leave_with_that_of_an_end() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 10, "do": "import_resources", "on": "a", "count": 2},
        {"t": 10, "do": "issue_grant", "on": "b", "peer": "a", "scope": "migrate"},
        {"t": 20, "do": "slow_disk", "on": "a", "fsync": "50ms"},
        {"t": 30, "do": "revoke", "on": "a", "peer": "b"},
        {"t": 30, "do": "plan_migration", "on": "a", "peer": "b"},
    )
    assert held(1, "2m", *PEERED, *steps) == ()


@pytest.mark.parametrize(
    "payload",
    [{"a": "told"}, {"a": ["x", {"b": b"told"}]}, {"a": 2**70, "b": "told"}, {("key", "told"): 1}],
    ids=["text", "deep", "large", "key"],
)
def test_secrets_are_searched_for_in_every_text_of_a_write(payload: Any) -> None:
    assert "told" in _words(EventDraft("kind", "low", 1.0, None, payload))
    assert "hidden" not in _words(EventDraft("kind", "low", 1.0, None, {**payload, "c": Secret("hidden")}))


def test_evidence_is_searched_again_when_it_says_more_or_a_secret_is_learned() -> None:
    complaints: list[str] = []
    secrecy = Secrecy(None, lambda checker, host, text: complaints.append(text), lambda delay_s, look: None)

    def commit(**evidence: Any) -> list[str]:
        complaints.clear()
        write = PutEvidence("peer", "p", PeerEvidence(**evidence))
        secrecy.on_commit(Commit(SimpleNamespace(name="a"), 0.0, (), (), (), (write,)))  # type: ignore[arg-type]
        return complaints

    assert not commit(last_error="kept-in-the-open")
    assert not commit(last_error="kept-in-the-open", sent_sequence=1)
    secrecy._learn_bearer("id.kept-in-the-open")
    assert commit(last_error="kept-in-the-open", sent_sequence=1)
    assert not commit(last_error="else", sent_sequence=2)
    assert commit(last_error="kept-in-the-open", sent_sequence=3)


def test_a_child_may_be_active_by_the_calls_of_a_parent_that_takes_its_own_no_more() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 0, "do": "propose", "on": "a", "peer": "b", "role": "parent"},
        {"t": 1, "do": "propose", "on": "b", "peer": "a", "role": "child"},
        {"t": 2, "do": "accept", "on": "b", "peer": "a"},
        {"t": 35.01, "do": "rotate_root", "on": "a", "force": True},
    )
    late = [{"name": "a", "clock_offset": "-20m"}, {"name": "b"}]
    assert held(7433, "304s", *steps, platform=late) == ()


def test_what_only_shares_overlay_networks_may_stand_beside_the_platform_of_the_same_place() -> None:
    assert held(1, "2s", PEERED[0], {"t": 1, "do": "overlay_peer", "on": "a", "peer": "b", "step": "propose"}) == ()


def test_denials_that_are_still_being_counted_are_no_leak() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 10, "do": "issue_grant", "on": "a", "peer": "b"},
        {"t": 30, "do": "attack_bearer", "on": "a", "by": "b", "issuer": "a", "holder": "b", "call": "announce"},
    )
    assert held(1, "", *PEERED, *steps, world={"seed": 1, "for": "40s", "converge": True}) == ()
