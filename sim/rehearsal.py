"""A rehearsal of a rotation: a platform's own peers, as its daemon tells of them, in a world that costs nobody anything.

Lives here: from what `powernode trust status --json` shows to a scenario, its runs, and what came of each peer. Must not live here: how a
rotation goes (the production actors run), or where the peers come from (see `commands.rehearse`).

Peers in the same situation are played by one platform. Who is silent now stays silent for as long again as it has been; that is a guess,
and the report says so. A window with such peers in it is played as one day, and their silence is shortened alike: looks, polls and retries
keep their own pace, so that a shortened window flatters nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from actors.limits import OVERLAP_DAYS_DEFAULT, OVERLAP_DAYS_MAX, OVERLAP_DAYS_MIN, SKEW_MAX_S
from api.cli.text import counted
from runtime.clock import parse_iso
from runtime.engine import Engine
from sim.releases import FORMER
from sim.scenario.load import parse
from sim.scenario.run import Result, run
from sim.scenario.schema import Scenario
from sim.scenario.write import to_toml

DAY_S: Final = 86_400.0
MINUTE_S: Final = 60.0
HOUR_S: Final = 3_600.0
SETTLED_S: Final = 600.0
"""When the rotation begins: everybody has met and is active."""

PLAYED_WINDOW_S: Final = DAY_S
LOOKS_S: Final = (300.0, 900.0, 1_800.0, HOUR_S)
"""After the beginning, or after the end of a silence, when it is noted who has followed; and once more at the end."""

WITHOUT_SILENCE_S: Final = 2 * HOUR_S
ROLES_MAX: Final = 40
"""As many situations are played; beyond, peers whose silence differs share one, and the longest counts."""

US: Final = "us"
IN_FORCE: Final = frozenset({"accepted", "enrolled", "active", "degraded", "suspended"})


@attrs.frozen(kw_only=True)
class PeerTold:
    """What is known of one peer. Spans are in seconds.

    Attributes:
        silent_s: how long it has not been heard of; 0 for one that is in contact.
        version: what it announces; None if it never has.
        token_left_s: how long its open token has to live; None without one.
    """

    id: str
    url: str
    status: str
    trust_mode: str
    spawn_role: str | None
    silent_s: float = 0.0
    skew_s: float = 0.0
    version: str | None = None
    token_left_s: float | None = None
    progress: str = "promoted"


@attrs.frozen
class Situation:
    """What decides how a peer fares; peers that are equal in it are played by one platform."""

    role: str
    silent_s: float
    skew_s: float
    former: bool
    paused: bool


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of one peer.

    Attributes:
        followed, runs: in how many of the runs it stands under the next root in the end.
        latest_s: after how long within reach it was first seen to have followed, in the slowest of them; None if it did not in any.
        why: why it is left behind, in a sentence; None if it is not.
    """

    id: str
    url: str
    followed: int
    runs: int
    latest_s: float | None
    why: str | None


@attrs.frozen(kw_only=True)
class Report:
    """What a rehearsal has shown.

    Attributes:
        obstacles: why the rotation would not even begin, or what broke in the rehearsal itself.
        scale: how many seconds of the real window one played second stands for.
        set_aside: peers that no rotation concerns now.
    """

    overlap_days: float
    seeds: tuple[int, ...]
    scale: float
    platforms: int
    outcomes: tuple[Outcome, ...]
    set_aside: tuple[str, ...]
    obstacles: tuple[str, ...]

    @property
    def left_behind(self) -> tuple[Outcome, ...]:
        return tuple(each for each in self.outcomes if each.why is not None)


class Untold(ValueError):  # what is wrong with what was told
    """What was told of the peers cannot be read; the message says what and where."""


def read_peers(told: Mapping[str, Any], now: float) -> list[PeerTold]:
    """The peers in what `powernode trust status --json` shows.

    Raises:
        Untold: it is not that.
    """
    peers = told.get("peers")
    if not isinstance(peers, Sequence) or isinstance(peers, str):
        raise Untold("there is no list of `peers`; give what `powernode trust status --json` prints")
    return [_read_peer(peer, number, now) for number, peer in enumerate(peers)]


def overlap_told(told: Mapping[str, Any]) -> float:
    """For how many days roots overlap by the platform's own setting; by the default where an older release does not tell it.

    Raises:
        Untold: what stands there is no such span.
    """
    days = told.get("overlap_days", OVERLAP_DAYS_DEFAULT)
    if type(days) not in (int, float) or not OVERLAP_DAYS_MIN <= days <= OVERLAP_DAYS_MAX:
        raise Untold(f"`overlap_days` is no number from {OVERLAP_DAYS_MIN} to {OVERLAP_DAYS_MAX}")
    return float(days)


def _read_peer(peer: object, number: int, now: float) -> PeerTold:
    if not isinstance(peer, Mapping):
        raise Untold(f"peers[{number}] is no object")
    missing = [name for name in ("id", "remote_instance_url", "status", "trust_mode") if not isinstance(peer.get(name), str)]
    if missing:
        raise Untold(f"peers[{number}] lacks {', '.join(missing)}")
    try:
        heard, expires = (_instant(peer.get(name)) for name in ("last_heartbeat_at", "token_expires_at"))
        skew_s = float(peer.get("clock_skew_s") or 0.0)
    except ValueError as error:
        raise Untold(f"peers[{number}]: {error}") from None
    away = peer["status"] not in ("active", "suspended") and heard is not None
    return PeerTold(
        id=peer["id"],
        url=peer["remote_instance_url"],
        status=peer["status"],
        trust_mode=peer["trust_mode"],
        spawn_role=peer.get("spawn_role"),
        silent_s=max(0.0, now - heard) if away and heard is not None else 0.0,
        skew_s=skew_s,
        version=peer.get("platform_version"),
        token_left_s=None if expires is None else expires - now,
        progress=str(peer.get("progress")),
    )


def _instant(text: object) -> float | None:
    return None if text is None else parse_iso(str(text))


def rehearse(
    told: Mapping[str, Any],
    *,
    now: float,
    overlap_days: float,
    seeds: Sequence[int],
    tell: Callable[[str], None] = lambda text: None,
    watch: Callable[[float], None] = lambda share: None,
) -> Report:
    """Play a rotation with these peers under each seed.

    Args:
        told: what `powernode trust status --json` shows.
        now: seconds since the epoch at which it was told.
        tell: hears what is being done, a line at a time.
        watch: hears how much of all runs is done, from 0 to 1.

    Raises:
        Untold: `told` is something else.
    """
    peers = read_peers(told, now)
    playing = [peer for peer in peers if peer.status in IN_FORCE and peer.trust_mode != "none"]
    window_s = overlap_days * DAY_S
    scale = max(1.0, window_s / PLAYED_WINDOW_S)
    cast = _cast(playing, scale)
    obstacles = list(_obstacles(told, peers, window_s))
    results: list[Result] = []
    if cast:
        scenario = parse(to_toml(document(cast, window_s / scale)), "rehearsal.toml")
        for number, seed in enumerate(seeds):
            tell(
                f"seed {seed}: {counted(len(cast), 'platform')} for {counted(len(playing), 'peer')}, {scenario.world.for_s / HOUR_S:.0f} h"
            )
            results.append(_played(scenario, seed, _part(watch, number, len(seeds))))
        obstacles += [f"in the rehearsal, {failure.checker}: {failure.text}" for result in results[:1] for failure in result.failures]
    parts = {peer.id: name for name, (_, members) in cast.items() for peer in members}
    outcomes = tuple(_outcome(peer, cast[parts[peer.id]][0], parts[peer.id], results, window_s) for peer in playing)
    aside = tuple(peer.id for peer in peers if peer not in playing)
    return Report(
        overlap_days=overlap_days, seeds=tuple(seeds), scale=scale, platforms=len(cast), outcomes=outcomes, set_aside=aside,
        obstacles=tuple(obstacles),
    )  # fmt: skip


def _played(scenario: Scenario, seed: int, watch: Callable[[float], None]) -> Result:
    """A run that tells how much of its virtual time is over."""

    def drive(engine: Engine) -> bool:
        watch(min(engine.clock.now() / scenario.world.for_s, 1.0))
        return engine.run()

    return run(scenario, seed, explain=False, drive=drive)


def _part(watch: Callable[[float], None], number: int, count: int) -> Callable[[float], None]:
    return lambda share: watch((number + share) / count)


# --- the cast -------------------------------------------------------------------------------------------------------

Cast = dict[str, tuple[Situation, list[PeerTold]]]


def _cast(peers: Sequence[PeerTold], scale: float) -> Cast:
    """Who plays whom."""
    for step_s in (1.0, HOUR_S / 4, HOUR_S, 6 * HOUR_S, PLAYED_WINDOW_S):
        parts: dict[Situation, list[PeerTold]] = {}
        for peer in peers:
            parts.setdefault(_situation(peer, scale, step_s), []).append(peer)
        if len(parts) <= ROLES_MAX:
            break
    ordered = sorted(parts.items(), key=lambda part: (part[0].role, part[0].silent_s, part[0].skew_s, part[0].former, part[0].paused))
    return {f"p{number}": part for number, part in enumerate(ordered, 1)}


def _situation(peer: PeerTold, scale: float, step_s: float) -> Situation:
    hierarchical = peer.trust_mode == "hierarchical" and peer.spawn_role in ("parent", "child")
    silent_s = min(peer.silent_s / scale, 2 * PLAYED_WINDOW_S)
    return Situation(
        role=str(peer.spawn_role) if hierarchical else "symmetric",
        silent_s=-(-silent_s // step_s) * step_s,
        skew_s=round(peer.skew_s / MINUTE_S) * MINUTE_S,
        former=(peer.version or "") == FORMER.version,
        paused=peer.status == "suspended",
    )


def document(cast: Cast, window_s: float) -> dict[str, Any]:
    """The scenario: everybody meets, the silent ones are cut off, and then the root is replaced."""
    silent = [situation.silent_s for situation, _ in cast.values()]
    # Who is away for the whole window is seen to be left behind only when the window is over.
    lasts_s = WITHOUT_SILENCE_S if not any(silent) else min(max(silent) + WITHOUT_SILENCE_S, window_s + HOUR_S)
    calm = {"heartbeat_interval": "5m", "stale_after": "30m"} if lasts_s > WITHOUT_SILENCE_S else {}
    begins, ends = SETTLED_S, SETTLED_S + lasts_s
    platforms = [{"name": US, "unlimited": True, **calm}]
    steps: list[dict[str, Any]] = []
    for number, (name, (situation, _)) in enumerate(cast.items()):
        platforms.append(_platform(name, situation, calm))
        steps += _meeting(name, situation, float(number))
        steps += _before(name, situation, begins, lasts_s)
    steps.append({"t": begins, "do": "rotate_root", "on": US, "overlap_days": max(1, round(window_s / DAY_S)), "name": "the rotation"})
    for name, (situation, _) in cast.items():
        looks = [situation.silent_s + look for look in LOOKS_S if situation.silent_s + look < lasts_s - 1.0]
        steps += [
            {"t": begins + at, "do": "look_rotation", "on": US, "peer": name, "name": f"{name} look {number}"}
            for number, at in enumerate((*looks, lasts_s - 1.0))
        ]
    steps.sort(key=lambda step: float(step["t"]))
    return {
        "name": "a rehearsal",
        "description": "A rotation with the peers of a platform as they are.",
        "world": {"for": ends},
        "platform": platforms,
        "at": steps,
    }


def _platform(name: str, situation: Situation, calm: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, **calm}
    if situation.skew_s:
        made["clock_offset"] = situation.skew_s
    if situation.former:
        made["release"] = "former"
    return made


def _meeting(name: str, situation: Situation, at: float) -> list[dict[str, Any]]:
    """Us and one peer, as they once met."""
    if situation.role == "symmetric":
        return [
            {"t": at, "do": "propose", "on": US, "peer": name},
            {"t": at + 60.0, "do": "accept_invitation", "on": name, "peer": US},
        ]
    parent, child = (US, name) if situation.role == "parent" else (name, US)
    return [
        {"t": at, "do": "propose", "on": parent, "peer": child, "role": "parent"},
        {"t": at + 60.0, "do": "propose", "on": child, "peer": parent, "role": "child"},
        {"t": at + 120.0, "do": "accept", "on": child, "peer": parent},
    ]


def _before(name: str, situation: Situation, begins: float, lasts_s: float) -> Iterator[dict[str, Any]]:
    """How things stand with one peer when the rotation begins."""
    if situation.paused:
        yield {"t": begins - 60.0, "do": "suspend", "on": US, "peer": name}
    if situation.silent_s:
        # Nothing gets through, but whoever sends finds out only by waiting, as with a peer that is off.
        yield {"t": begins - 30.0, "do": "loss", "between": [US, name], "rate": 1.0}
        if situation.silent_s < lasts_s:
            yield {"t": begins + situation.silent_s, "do": "loss", "between": [US, name], "rate": 0.0}


# --- the report -----------------------------------------------------------------------------------------------------


def _obstacles(told: Mapping[str, Any], peers: Sequence[PeerTold], window_s: float) -> Iterator[str]:
    if told.get("peers_omitted"):
        yield f"{told['peers_omitted']} more peers were not told of, and are not rehearsed"
    if told.get("rotating"):
        yield "a rotation is under way already"
    behind = [peer.url for peer in peers if peer.progress in ("must_approve", "must_pair_again")]
    if behind:
        yield f"peers have not followed the last rotation: {', '.join(behind)}"
    longer = [peer.url for peer in peers if peer.token_left_s is not None and peer.token_left_s > window_s]
    if longer:
        yield f"open tokens outlive the overlap: {', '.join(longer)}"


def _outcome(peer: PeerTold, situation: Situation, name: str, results: Sequence[Result], window_s: float) -> Outcome:
    firsts = [_first(name, situation, result) for result in results]
    came = [at for at in firsts if at is not None]
    lost = len(came) < len(firsts)
    return Outcome(
        id=peer.id, url=peer.url, followed=len(came), runs=len(firsts), latest_s=max(came, default=None) if came else None,
        why=_why(peer, situation, window_s, len(firsts) - len(came), len(firsts)) if lost else None,
    )  # fmt: skip


def _first(name: str, situation: Situation, result: Result) -> float | None:
    """When a look first found that the peer had followed, if it had in the end: seconds in which it could be reached."""
    done = ("promoted",) if situation.role != "child" else ("promoted", "set_aside")
    looks = sorted((int(call.rpartition(" ")[2]), is_) for call, is_ in result.history.answers.items() if call.startswith(f"{name} look "))
    if not looks or looks[-1][1] not in done:
        return None
    number = next(number for number, is_ in looks if is_ in done)
    return LOOKS_S[number] if number < len(looks) - 1 else result.virtual_s - SETTLED_S - situation.silent_s


def _why(peer: PeerTold, situation: Situation, window_s: float, lost: int, runs: int) -> str:
    if situation.paused:
        return "it is suspended; resume it within the overlap, or its operators have to approve the new root afterwards"
    if peer.silent_s >= window_s:
        silent, window = _span(peer.silent_s), _span(window_s)
        return f"it has been silent for {silent}; if that lasts as long again it misses the whole overlap of {window}"
    if abs(peer.skew_s) > SKEW_MAX_S:
        return f"its clock is {_span(abs(peer.skew_s))} {'ahead' if peer.skew_s > 0 else 'behind'}; put it right first"
    often = f"in {lost} of {counted(runs, 'run')}"
    if peer.silent_s:
        return f"it has been silent for {_span(peer.silent_s)}, and came back too late {often}; choose a longer overlap"
    return f"it did not follow {often}"


def _span(seconds: float) -> str:
    for unit, name in ((DAY_S, "days"), (HOUR_S, "hours"), (MINUTE_S, "minutes")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} seconds"


__all__ = ["Outcome", "PeerTold", "Report", "Situation", "Untold", "document", "read_peers", "rehearse"]
