"""The stage of a run: the world of a scenario, its operators, and who handed which token to whom.

Lives here: what actions may do, and the observation of everything that follows. Must not live here: the order of steps (see `run`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from actors.door.call import Answer
from actors.resource.record import KIND as RESOURCE
from actors.resource.record import scope
from actors.settings import DEFAULT_RATE_LIMITS, FederationSettings, Limit
from runtime.actor import Ref
from runtime.buggify import Buggify
from runtime.engine import Engine
from runtime.store.port import Condition, Query, StoreError
from runtime.trace import Trace
from sim.checkers.registry import Commit
from sim.checkers.watch import Watch
from sim.identities import SERVER_LEAF_LIFETIME_S, Papers, dated, person
from sim.lives import Steps
from sim.releases import RELEASES
from sim.scenario.actions.registry import Action
from sim.scenario.failures import Failure, StageError
from sim.scenario.history import Change, History
from sim.scenario.kinds import keys_of
from sim.scenario.progress import Progress
from sim.scenario.reading import CatalogueReading
from sim.scenario.schema import PlatformPart, Scenario
from sim.scenario.strangers import StrangersCall
from sim.schedule import Drawn, Schedule
from sim.store import MemoryStore
from sim.trace.tracer import Tracer
from sim.world import PASSWORD, Host, Reply, World

UNLIMITED: Final = Limit(1_000_000_000, 1.0, 1_000_000_000)
PEERS: Final = "/api/v1/system/platform/peers"


def host_class(level: str) -> type[Host]:
    """What a platform of this level is. The stack of the socket level takes a while to load, so only worlds that have it load it."""
    if level == "frames":
        return Host
    if level == "recorded":
        from sim.recorded import RecordedHost

        return RecordedHost
    from sim.sockets.host import SocketHost

    return SocketHost


class BrokenError(Exception):
    """A safety checker complained; what comes after proves nothing."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


SHOWN_MAX: Final = 60
"""Characters of a value that a line of the trace shows; recordings hold whole messages."""


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 1] + "…"


@attrs.frozen
class Handed:
    """What one operator gave to the other."""

    token: str = attrs.field(repr=False)
    invitation: str = attrs.field(repr=False)


@attrs.define(eq=False)
class OperatorCall:
    """A call under way. An operator whose session has ended signs in again, once.

    Attributes:
        by: which operator calls, and signs in for that; None for the first one, who is signed in.
        headers: what the call carries beside its body.
        tokens: access tokens of operators but the first, by platform and operator.
    """

    name: str | None
    host: Host
    request: tuple[str, str, Any]
    hands_to: str | None
    replies: list[Reply]
    incarnation: int
    login: list[Reply] | None = None
    code: str | None = None
    by: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    tokens: dict[tuple[str, str], str] = attrs.field(factory=dict)

    @property
    def waiting(self) -> bool:
        """Whether somebody is there who may still answer; the platform that was asked may have died, be paused, or have been down."""
        return self.host.running and not self.host.paused and self.host.incarnation == self.incarnation

    def poll(self) -> Reply | None:
        """The answer, once."""
        if self.code is not None or not self.host.running:
            return None
        if self.login and not self.replies:
            token = self.login[0].data["access_token"] if self.login[0].status == 200 else ""
            self.login = []
            if self.by is None:
                self.host.token = token
            else:
                self.tokens[self.host.name, self.by] = token
            self.replies = self.host.send(*self.request, headers={**self.headers, "authorization": f"Bearer {token}"})
        elif self.replies and self.replies[0].body.get("code") == "unauthenticated" and self.login is None:
            self.replies = []
            self.login = self.sign_in()
        elif self.replies:
            reply = self.replies[0]
            self.code = "ok" if reply.status < 400 else str(reply.body.get("code"))
            return reply
        return None

    def begin(self) -> None:
        """Let an operator call who may not have signed in yet."""
        token = self.tokens.get((self.host.name, self.by or ""))
        if token:
            self.replies = self.host.send(*self.request, headers={**self.headers, "authorization": f"Bearer {token}"})
        else:
            self.login = self.sign_in()

    def sign_in(self) -> list[Reply]:
        """Have the operator sign in."""
        return self.host.send("POST", "/api/v1/auth/login", {"email": email_of(self.by), "password": PASSWORD})


def email_of(operator: str | None) -> str:
    """The address of an operator; None is the first one."""
    return f"{operator or 'operator'}@example.com"


class Stage:
    """One world while it runs.

    Args:
        seed: in place of the file's own.
        schedule, tracer, drive: see `World`.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        *,
        schedule: Schedule | None = None,
        tracer: Tracer | None = None,
        drive: Callable[[Engine], bool] = Engine.run,
    ) -> None:
        self.world = World(seed, schedule=schedule or Drawn(seed), tracer=tracer, drive=drive)
        self.world.chores = scenario.world.chores
        self.started_at = 0.0
        self.skipped = 0
        self.history = History(scenario.world.for_s)
        self.faults: Counter[str] = Counter()
        self._calls: list[OperatorCall | CatalogueReading | StrangersCall] = []
        self._tokens: dict[tuple[str, str], str] = {}
        self.bearers: dict[tuple[str, str, str], str] = {}
        self.receipts: dict[str, dict[str, Any]] = {}
        self.backups: dict[str, MemoryStore] = {}
        self._handed: dict[tuple[str, str], list[Handed]] = {}
        self._progress = Progress(self.world.timeline, len(scenario.platforms))
        self.watch = Watch(self.world)
        self.steps = Steps()
        self.watch.change_followers += [self._follow, self.steps]
        self._groups = {platform.name: platform.group for platform in scenario.platforms}
        for nat in scenario.nats:
            self.world.network.add_nat(nat.name, nat.rules, outer=nat.behind or "")
        for platform in scenario.platforms:
            self._open(platform, platform.level or scenario.world.level)
        for nat in scenario.nats:
            if nat.forward is not None:
                self.world.network.forward(nat.name, nat.forward)
        for part in scenario.links:
            for link in self.world.links.both(*part.between, oneway=part.oneway):
                part.apply(link)
        for platform in scenario.platforms:
            self.host(platform.name).sign_in().store.disk.fsync_s = platform.fsync_s
        self.started_at = self.world.timeline.now
        if scenario.world.buggify:
            self.world.buggify = Buggify(self.world.chance.stream("buggify"))
        if tracer is not None:
            tracer.begin(self.started_at)

    def _open(self, platform: PlatformPart, level: str) -> None:
        settings = {**platform.settings, "allowed_networks": platform.allowed_networks}
        if platform.unlimited:
            settings["rate_limits"] = dict.fromkeys(DEFAULT_RATE_LIMITS, UNLIMITED)
        papers = Papers(platform.ca_ends_in_s, platform.ca_begins_in_s, platform.listener_ttl_s or SERVER_LEAF_LIFETIME_S)
        who = person(platform.name, self.world.seed)
        host = host_class(level)(
            self.world,
            platform.name,
            FederationSettings(**settings),
            who=who if papers == Papers() else dated(who, papers),
            realm=platform.nat or "",
            release=RELEASES[platform.release],
        )
        self.world.network.names.set(f"{platform.name}.example.com", ttl_s=platform.dns_ttl_s)
        if platform.hub is not None:
            self.world.network.reach_through(platform.name, platform.hub)
        host.clock.offset_s, host.clock.drift = platform.clock_offset_s, platform.clock_drift
        tracer = self.world.tracer
        if tracer is not None:
            host.trace = Trace(lambda now, *turn: tracer.turn(now, host.name, *turn))
        self.world.hosts[platform.name] = host
        host.open_signed_in()
        host.start()

    # --- what actions may do -------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the start of the world of the scenario."""
        return self.world.timeline.now - self.started_at

    def host(self, name: str) -> Host:
        """A platform by its name in the file."""
        return self.world.hosts[name]

    def members(self, names: Sequence[str]) -> list[str]:
        """The single platforms that names of platforms and groups stand for, in the order of the file."""
        return [name for name, group in self._groups.items() if name in names or group in names]

    def row(self, on: str, peer: str) -> Any:
        """The newest committed row of one platform about another, or None."""
        return self.watch.facts.newest(self.host(on), self.host(peer).url)

    def status(self, on: str, peer: str) -> str | None:
        """The committed status of that row."""
        record = self.row(on, peer)
        return None if record is None else str(record.status)

    def peer_id(self, on: str, peer: str) -> str:
        """The id of that row.

        Raises:
            StageError: there is none.
        """
        record = self.row(on, peer)
        if record is None:
            raise StageError(f"{on} has no row for {peer} yet; let its operator propose first")
        return str(record.id)

    def read(self, reading: CatalogueReading) -> None:
        """Let a peer read a catalogue; its end is an answer like an operator's."""
        self._calls.append(reading)
        reading.begin()

    def call(
        self,
        name: str | None,
        on: str,
        method: str,
        path: str,
        body: Any,
        hands_to: str | None = None,
        *,
        surface: str = PEERS,
        by: str | None = None,
        under: str | None = None,
    ) -> None:
        """An operator's call, to the surface of peers unless another is named.

        Tokens in its answer are handed to the operator of `hands_to`. `by` is the operator who calls, if that is not the first one;
        `under` the `Idempotency-Key` of the call.
        """
        host = self.host(on)
        request = (method, surface + path, body)
        headers = {} if under is None else {"idempotency-key": under}
        if by is not None:
            call = OperatorCall(name, host, request, hands_to, [], host.incarnation, by=by, headers=headers, tokens=self._tokens)
            if host.running:
                call.begin()
            self._calls.append(call)
            return
        replies, incarnation = (host.send(*request, headers=headers), host.incarnation) if host.running else ([], -1)
        self._calls.append(OperatorCall(name, host, request, hands_to, replies, incarnation, headers=headers))

    def strange(self, name: str | None, on: str, method: str, what: str, answers: Sequence[Answer], count: int = 1) -> None:
        """A call that no operator makes, or several; the answer to the last of them is that of the step."""
        if name is not None:
            host = self.host(on)
            self._calls.append(StrangersCall(name, host, (method, what, None), answers, count, host.incarnation))

    def handed(self, minter: str, to: str, which: str) -> Handed:
        """The `first` or `latest` token that was handed over.

        Raises:
            StageError: there is none.
        """
        found = self._handed.get((minter, to))
        if not found:
            raise StageError(f"the operator of {minter} has handed no token to the operator of {to} yet")
        return found[0] if which == "first" else found[-1]

    def newest_network(self, on: str) -> str:
        """The id of the newest overlay network in a platform's catalogue.

        Raises:
            StageError: there is none.
        """
        host = self.host(on)
        within = Condition("live_scope", "=", scope(host.account_id, "SdwanNetwork"))
        found = host.store.query(Query(RESOURCE.name, ((within,),), limit=1))
        if not found:
            raise StageError(f"{on} has no network in its catalogue yet")
        return str(found[0].record.id)

    def bearer(self, issuer: str, holder: str, kind: str) -> str:
        """The newest bearer that one operator handed to another.

        Raises:
            StageError: there is none.
        """
        found = self.bearers.get((issuer, holder, kind))
        if found is None:
            raise StageError(f"the operator of {issuer} has handed no bearer for {kind} to the operator of {holder} yet")
        return found

    def look_again(self, on: str) -> None:
        """Note the status of every row of a platform: its disk was replaced, which no commit tells of."""
        self.watch.replaced(self.host(on))
        for other in self.world.hosts:
            status = self.status(on, other) if other != on else None
            if status is not None and self.history.status_at(on, other, self.now) != status:
                self.history.changes.append(Change(self.now, on, other, status))

    def has_handed(self, minter: str, to: str) -> bool:
        """Whether a token was handed over."""
        return (minter, to) in self._handed

    def restart(self, on: str) -> None:
        """Start a platform again, killing it first if it runs.

        Raises:
            StageError: its disk is full.
        """
        host = self.host(on)
        if host.running:
            host.crash()
        try:
            host.restart()
        except StoreError as error:
            raise StageError(f"{on} does not start: {error}") from error

    def perform(self, action: Action, word: str, name: str | None) -> None:
        """Let a step happen.

        Raises:
            StageError: it cannot happen now.
        """
        if self.world.tracer is None:
            self._do(action, name)
            return
        values = ((key, getattr(action, field.name)) for key, field in keys_of(type(action)).items())
        given = (f"{key}={_short(value)}" for key, value in values if value is not None)
        with self.world.tracer.because_of(None):
            self.world.note("", "step", " ".join((word, *given)))
            self._do(action, name)

    def _do(self, action: Action, name: str | None) -> None:
        try:
            action.perform(self, name)
        except StoreError as error:
            raise StageError(f"a platform does not start: {error}") from error

    # --- time ----------------------------------------------------------------------------------------------------

    def run_to(self, at: float) -> None:
        """Let time pass up to a moment of the scenario."""
        # Not by a difference: what happens must not depend on how often time was let pass before.
        self._run_until(None, self.started_at + at)

    def run_until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Let time pass until `condition` holds, at most `within_s`; whether it does."""
        return self._run_until(condition, self.world.timeline.now + within_s)

    def _run_until(self, condition: Callable[[], bool] | None, deadline: float) -> bool:
        timeline, progress, watch = self.world.timeline, self._progress, self.watch
        step = timeline.step
        while condition is None or not condition():
            if not step(deadline):
                progress.check_alive([call.name or call.request[1] for call in self._calls if call.waiting])
                timeline.run_until(deadline)
                return condition is not None and condition()
            progress.count += 1
            if progress.count > progress.most or timeline.now >= progress.until:
                progress.look()
            # Most events bring none of what `observe` looks for.
            if self._calls or watch.complaints or watch.next_look_at <= timeline.now:
                self.observe()
        return True

    # --- observation ---------------------------------------------------------------------------------------------

    def observe(self) -> None:
        """Take note of answers and changed rows; check the platforms whose rows have changed."""
        if self._calls:
            for call in self._calls:
                reply = call.poll()
                if reply is not None:
                    self._answered(call, reply)
            self._calls = [call for call in self._calls if call.code is None]
        self.watch.pass_time()
        if self.watch.complaints:
            self.check()

    def check(self) -> None:
        """See whether a safety checker has complained.

        Raises:
            BrokenError: one of them has.
        """
        if self.watch.complaints:
            first = self.watch.complaints[0]
            raise BrokenError(Failure(first.checker, first.at - self.started_at, f"{first.host}: {first.text}"))

    def check_all(self) -> None:
        """Ask the safety checkers that look at whole platforms."""
        self.watch.stepped()
        self.check()

    def _follow(self, commit: Commit) -> None:
        """Remember every status that a row passes, those passed within one commit included."""
        for entry in commit.entries:
            if "to" in entry.payload:
                url = next(
                    (change.after.record.remote_instance_url for change in commit.changes if change.after and change.id == entry.chain), ""
                )
                host = next((host.name for host in self.world.hosts.values() if host.url == url), url)
                change = Change(self.now, commit.host.name, host, entry.payload["to"], str(entry.payload.get("trigger")))
                self.history.changes.append(change)
                self._note_change(change, Ref("peer", entry.chain), entry.payload)

    def _note_change(self, change: Change, ref: Ref, told: Mapping[str, Any]) -> None:
        if self.world.tracer is not None:
            what = f"{told.get('from') or 'none'} > {change.status} by {told.get('trigger')}"
            cause = self.world.tracer.saved(change.on, ref)
            self.world.note_effect_of(cause, change.on, "status", what, change.peer, state=change.status)

    def _answered(self, call: OperatorCall | CatalogueReading | StrangersCall, reply: Reply) -> None:
        assert call.code is not None
        what = call.name or call.request[1].removeprefix(PEERS) or "propose"
        self.world.note_effect_of(reply.cause, call.host.name, "operator", what, outcome=call.code)
        self.history.heard.append((self.now, call.host.name, what, call.code))
        if call.name is not None:
            self.history.answers[call.name] = call.code
        if call.hands_to is not None and call.code == "ok" and reply.data.get("bearer_token"):
            self.bearers[call.host.name, call.hands_to, reply.data["grant"]["resource_kind"]] = reply.data["bearer_token"]
        if call.hands_to is not None and call.code == "ok" and reply.data.get("receipt"):
            self.receipts[call.hands_to] = reply.data
        if call.hands_to is not None and call.code == "ok" and reply.data.get("acceptance_token"):
            handed = Handed(reply.data["acceptance_token"], reply.data.get("invitation", ""))
            self._handed.setdefault((call.host.name, call.hands_to), []).append(handed)
