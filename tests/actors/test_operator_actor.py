"""Operators on a real engine with real credentials behind the ports, made cheap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actors.idempotency.record import KIND as ANSWER
from actors.idempotency.record import Mark
from actors.limits import ACCESS_TOKEN_TTL_S, PASSWORD_BYTES_MAX, REFRESH_TOKEN_TTL_S, SESSIONS_MAX
from actors.operator.messages import CreateOperator, Login, Logout, Refresh, SetPassword, SignedIn, UpdateOperator
from actors.operator.permissions import ALIASES, PERMISSIONS, canonical, satisfies
from actors.operator.record import KIND, Operator, parse_refresh_token, session_valid, to_json
from actors.operator_tokens import Claims, verify_access_token
from actors.ports import HashPassword, SignToken, VerifyPassword
from actors.registry import ACTORS, KINDS
from actors.settings import Identity, Settings
from net.credentials import Credentials, HashCost, new_token_key
from runtime.actor import Ref
from runtime.engine import Engine
from runtime.errors import Fault, unavailable
from runtime.random import SeededRandomness
from runtime.secret import Secret
from runtime.store.port import Event
from runtime.values import evolve
from sim.store import MemoryStore
from tests.support.engines import AtOnce, ManualClock

ANN = "0190c0de-0000-7000-8000-00000000000a"
BOB = "0190c0de-0000-7000-8000-00000000000b"
NOBODY = "0190c0de-0000-7000-8000-00000000000f"
PASSWORD = "correct horse battery"
MANAGE = "system.operators.manage"

CHANCE = SeededRandomness(7)
CREDENTIALS = Credentials(new_token_key(CHANCE), CHANCE, HashCost(memory_kib=32, passes=1, lanes=4))


class Office:
    """One engine. Port calls are answered at once, or kept in `waiting` while `hold` is set."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(KINDS, strict=True)
        self.events: list[Event] = []
        self.requests: list[Any] = []
        self.waiting: list[Callable[[], None]] = []
        self.hold: tuple[type, ...] = ()
        self.failing: type | None = None
        self.engine = Engine(
            store=self.store,
            clock=self.clock,
            randomness=SeededRandomness(1),
            actors=ACTORS,
            settings=Settings(Identity("us", "https://us.example", "", "sha256:" + "0" * 64, None)),
            ports=dict.fromkeys((HashPassword, VerifyPassword, SignToken), self._port),
            crash_policy=AtOnce(),
        )
        self.engine.on_events.append(self.events.extend)

    def _port(self, request: Any, done: Callable[[Any], None]) -> None:
        self.requests.append(request)
        if self.failing is type(request):
            done(unavailable("the vault"))
        elif isinstance(request, self.hold):
            self.waiting.append(lambda: done(CREDENTIALS.handle(request)))
        else:
            done(CREDENTIALS.handle(request))

    def run(self) -> None:
        while self.engine.run():
            pass

    def send(self, id: str, message: Any) -> list[Any]:
        outcomes: list[Any] = []
        self.engine.ask(Ref(KIND.name, id), message, 5.0, outcomes.append)
        self.run()
        return outcomes

    def ask(self, id: str, message: Any) -> Any:
        (outcome,) = self.send(id, message)
        return outcome

    def release(self) -> None:
        self.hold = ()
        waiting, self.waiting = self.waiting, []
        for finish in waiting:
            finish()
            self.run()

    def record(self, id: str = ANN) -> Operator:
        row = self.store.load(KIND.name, id)
        assert row is not None
        assert isinstance(row.record, Operator)
        return row.record

    def login(self, id: str = ANN, password: str = PASSWORD) -> SignedIn:
        outcome = self.ask(id, Login(Secret(password)))
        assert isinstance(outcome, SignedIn)
        return outcome

    def claims(self, signed_in: SignedIn) -> Claims:
        token = signed_in.access_token.reveal()
        claims = verify_access_token(
            token, CREDENTIALS.public_key_pem, now=self.clock.wall(), issuer="us", audience="powernode-operator"
        )  # fmt: skip
        assert isinstance(claims, Claims)
        return claims

    def told(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


def create(**fields: Any) -> CreateOperator:
    usual = {"account_id": "account", "by": None, "email": "ann@example.org", "name": "Ann", "password": Secret(PASSWORD)}
    return CreateOperator(**{**usual, "permissions": (MANAGE, "system.peers.read"), **fields})


def refresh(signed_in: SignedIn) -> Refresh:
    parsed = parse_refresh_token(signed_in.refresh_token.reveal())
    assert parsed is not None
    return Refresh(parsed[1], parsed[2])


@pytest.fixture
def office() -> Office:
    office = Office()
    assert isinstance(office.ask(ANN, create()), Operator)
    return office


def code(outcome: Any) -> str | None:
    return outcome.code if isinstance(outcome, Fault) else None


# --- making ----------------------------------------------------------------------------------------------------------


def test_an_operator_is_kept_without_the_password(office: Office) -> None:
    record = office.record()
    assert record.password_hash.startswith("$argon2id$")
    assert PASSWORD not in repr(record) + repr(office.events) + repr(office.engine.history(Ref(KIND.name, ANN)))
    assert "password_hash" not in to_json(record)
    (event,) = office.events
    assert (event.kind, event.account_id, event.payload["operator_id"]) == ("operator.created", "account", ANN)


def test_an_email_belongs_to_one_operator_however_it_is_written(office: Office) -> None:
    assert code(office.ask(BOB, create(email=" ANN@Example.ORG"))) == "operator_exists"
    assert office.store.load(KIND.name, BOB) is None
    assert office.ask(BOB, create(email=" Bob@Example.ORG ")).email == "bob@example.org"
    assert code(office.ask(ANN, create(email="other@example.org"))) == "operator_exists"


@pytest.mark.parametrize(
    ("password", "refusal"),
    [
        ("x" * 11, "invalid_password"),
        ("x" * 12, None),
        ("ä" * 12, None),
        ("x" * PASSWORD_BYTES_MAX, None),
        ("x" * (PASSWORD_BYTES_MAX + 1), "invalid_password"),
        ("ä" * (PASSWORD_BYTES_MAX // 2 + 1), "invalid_password"),
        (b"\xff" * 20, "invalid_password"),
    ],
)
def test_weak_passwords_are_refused_before_any_work(office: Office, password: str | bytes, refusal: str | None) -> None:
    before = len(office.requests)
    assert code(office.ask(BOB, create(email="bob@example.org", password=Secret(password)))) == refusal
    assert code(office.ask(ANN, SetPassword(by=BOB, password=Secret(password)))) == refusal
    assert len(office.requests) - before == (0 if refusal else 2)


def test_permissions_are_known_canonical_and_never_wild(office: Office) -> None:
    for unknown in ("*", "system.*", "system.peers", ""):
        assert code(office.ask(BOB, create(email="bob@example.org", permissions=(unknown,)))) == "invalid_permission"
        assert code(office.ask(ANN, UpdateOperator(by=BOB, changes={"permissions": (unknown,)}))) == "invalid_permission"
    made = office.ask(BOB, create(email="bob@example.org", permissions=("system.federation.spawn", "system.children.spawn")))
    assert made.permissions == ("system.children.spawn",)


def test_an_alias_satisfies_its_permission_and_nothing_else_does() -> None:
    for alias, name in ALIASES.items():
        assert satisfies({name}, alias)
        assert satisfies({alias}, name)
    for needed in PERMISSIONS:
        assert satisfies({needed}, needed)
        assert not satisfies(PERMISSIONS.keys() - {needed}, needed)
        assert not satisfies({"*"}, needed)
    assert not satisfies({"made.up"}, "made.up")
    assert canonical("*") is None


def test_answers_are_remembered_with_the_change(office: Office) -> None:
    made = office.ask(BOB, create(email="bob@example.org", mark=Mark("m1", "digest")))
    remembered = office.store.load(ANSWER.name, "m1")
    assert remembered is not None
    assert (remembered.record.status, remembered.record.body) == (201, {"operator": to_json(made)})
    office.ask(NOBODY, create(mark=Mark("m2", "digest")))
    assert office.store.load(ANSWER.name, "m2") is None


# --- signing in ------------------------------------------------------------------------------------------------------


def test_a_login_gives_a_token_that_the_door_believes_until_it_ends(office: Office) -> None:
    signed_in = office.login()
    claims = office.claims(signed_in)
    assert (claims.operator_id, claims.account_id, claims.permissions) == (ANN, "account", frozenset({MANAGE, "system.peers.read"}))
    assert claims.expires_at - claims.issued_at == signed_in.expires_in_s == ACCESS_TOKEN_TTL_S
    assert session_valid(office.record(), claims, office.clock.wall()) is None
    assert [event.payload["session_id"] for event in office.told("operator.signed_in")] == [claims.session_id]
    kept = repr(office.record()) + repr(office.events) + repr(office.engine.history(Ref(KIND.name, ANN)))
    assert signed_in.refresh_token.reveal().split(".")[2] not in kept
    assert signed_in.access_token.reveal() not in kept


def test_every_failed_login_looks_the_same_and_does_the_same_work(office: Office) -> None:
    office.ask(BOB, create(email="bob@example.org"))
    office.ask(BOB, UpdateOperator(by=ANN, changes={"disabled": True}))
    office.requests.clear()
    outcomes = [office.ask(ANN, Login(Secret("wrong"))), office.ask(BOB, Login(Secret(PASSWORD))), office.ask(NOBODY, Login(Secret("x")))]
    assert outcomes == [outcomes[0]] * 3
    assert (outcomes[0].code, outcomes[0].status) == ("invalid_credentials", 401)
    assert [type(request) for request in office.requests] == [VerifyPassword] * 3
    assert [request.hash is None for request in office.requests] == [False, True, True]
    assert office.told("operator.signed_in") == []


def test_the_oldest_session_gives_way(office: Office) -> None:
    sessions = []
    for _ in range(SESSIONS_MAX + 1):
        sessions.append(office.claims(office.login()))
        office.clock.advance(1.0)
    assert len(office.record().sessions) == SESSIONS_MAX
    verdicts = [session_valid(office.record(), claims, office.clock.wall()) for claims in sessions]
    assert verdicts == ["session_ended"] + [None] * SESSIONS_MAX


@pytest.mark.parametrize("port", [HashPassword, VerifyPassword, SignToken])
def test_a_failing_port_is_told_and_changes_nothing(office: Office, port: type) -> None:
    before = office.record()
    office.failing = port
    message = SetPassword(by=BOB, password=Secret("another password")) if port is HashPassword else Login(Secret(PASSWORD))
    assert code(office.ask(ANN, message)) == "unavailable"
    assert office.record() == before


def test_an_operator_disabled_while_the_token_is_signed_gets_none(office: Office) -> None:
    office.hold = (SignToken,)
    outcomes = office.send(ANN, Login(Secret(PASSWORD)))
    office.ask(ANN, UpdateOperator(by=BOB, changes={"disabled": True}))
    assert outcomes == []
    office.release()
    assert [code(outcome) for outcome in outcomes] == ["invalid_credentials"]
    assert office.record().sessions == ()


# --- sessions --------------------------------------------------------------------------------------------------------


def test_a_refresh_token_works_once_and_gives_the_next(office: Office) -> None:
    first = office.login()
    office.clock.advance(60.0)
    second = office.ask(ANN, refresh(first))
    third = office.ask(ANN, refresh(second))
    assert len({one.refresh_token.reveal() for one in (first, second, third)}) == 3
    assert len({office.claims(one).session_id for one in (first, second, third)}) == 1
    assert session_valid(office.record(), office.claims(third), office.clock.wall()) is None
    assert len(office.told("operator.signed_in")) == 1


@pytest.mark.parametrize("generations", [1, 2, 12])
def test_any_old_refresh_token_ends_its_session(office: Office, generations: int) -> None:
    other = office.login()
    first = newest = office.login()
    for _ in range(generations):
        newest = office.ask(ANN, refresh(newest))
    assert code(office.ask(ANN, refresh(first))) == "invalid_refresh_token"
    assert session_valid(office.record(), office.claims(newest), office.clock.wall()) == "session_ended"
    assert code(office.ask(ANN, refresh(newest))) == "invalid_refresh_token"
    assert [event.payload["session_id"] for event in office.told("operator.session_revoked")] == [office.claims(first).session_id]
    assert session_valid(office.record(), office.claims(other), office.clock.wall()) is None


def test_a_guess_or_a_token_of_another_session_ends_nothing(office: Office) -> None:
    ours, other = office.login(), office.login()
    session_id = refresh(ours).session_id
    for secret in (Secret("A" * 43), Secret("!" * 43), refresh(other).secret):
        assert code(office.ask(ANN, Refresh(session_id, secret))) == "invalid_refresh_token"
    assert code(office.ask(NOBODY, refresh(ours))) == "invalid_refresh_token"
    assert isinstance(office.ask(ANN, refresh(ours)), SignedIn)


def test_two_refreshes_at_once_give_one_pair_of_tokens(office: Office) -> None:
    first = office.login()
    office.hold = (SignToken,)
    outcomes = office.send(ANN, refresh(first)), office.send(ANN, refresh(first))
    office.release()
    assert [isinstance(one[0], SignedIn) for one in outcomes] == [True, False]
    assert code(outcomes[1][0]) == "invalid_refresh_token"
    assert isinstance(office.ask(ANN, refresh(outcomes[0][0])), SignedIn)


def test_a_session_lasts_from_its_last_use(office: Office) -> None:
    first = office.login()
    office.clock.advance(REFRESH_TOKEN_TTL_S - 1.0)
    second = office.ask(ANN, refresh(first))
    office.clock.advance(REFRESH_TOKEN_TTL_S)
    assert code(office.ask(ANN, refresh(second))) == "invalid_refresh_token"
    assert isinstance(office.login(), SignedIn)
    assert len(office.record().sessions) == 1, "an expired session is dropped at the next login"


def test_signing_out_ends_one_session_and_may_be_repeated(office: Office) -> None:
    one, other = office.login(), office.login()
    for _ in range(2):
        assert isinstance(office.ask(ANN, Logout(office.claims(one).session_id)), Operator)
    assert session_valid(office.record(), office.claims(one), office.clock.wall()) == "session_ended"
    assert session_valid(office.record(), office.claims(other), office.clock.wall()) is None
    assert len(office.told("operator.session_revoked")) == 1


def test_a_session_is_valid_for_its_time_its_credentials_and_an_enabled_operator(office: Office) -> None:
    claims = office.claims(office.login())
    record, wall = office.record(), office.clock.wall()
    end = record.sessions[0].expires_at
    assert session_valid(record, claims, end - 0.001) is None
    assert session_valid(record, claims, end) == "session_ended"
    assert session_valid(evolve(record, disabled=True), claims, wall) == "operator_disabled"
    assert session_valid(evolve(record, credentials_version=2), claims, wall) == "credentials_changed"
    assert session_valid(record, evolve(claims, session_id="other"), wall) == "session_ended"


@pytest.mark.parametrize(
    "text",
    ["", "a.b", f"{ANN}.{BOB}", f"{ANN}.{BOB}.{'x' * 42}", f"{ANN}.{BOB}.{'x' * 44}", f"x.{BOB}.{'x' * 43}", f"{ANN}.x.{'x' * 43}",
     f"{ANN}.{BOB}.{'ä' * 43}", f"{ANN}.{BOB}.{'x' * 43}.x"],
)  # fmt: skip
def test_a_text_of_another_shape_is_no_refresh_token(text: str) -> None:
    assert parse_refresh_token(text) is None


# --- changes ---------------------------------------------------------------------------------------------------------


def ends_every_session(office: Office, message: Any) -> None:
    claims = [office.claims(office.login()) for _ in range(2)]
    version = office.record().credentials_version
    assert isinstance(office.ask(ANN, message), Operator)
    assert office.record().sessions == ()
    assert office.record().credentials_version == version + 1
    assert session_valid(evolve(office.record(), disabled=False), claims[0], office.clock.wall()) == "credentials_changed"
    ended = [event.payload["session_id"] for event in office.told("operator.session_revoked")]
    assert ended == [one.session_id for one in claims]


def test_a_new_password_ends_every_session(office: Office) -> None:
    ends_every_session(office, SetPassword(by=ANN, password=Secret("a new long password")))
    assert code(office.ask(ANN, Login(Secret(PASSWORD)))) == "invalid_credentials"
    assert isinstance(office.login(password="a new long password"), SignedIn)


def test_disabling_ends_every_session(office: Office) -> None:
    ends_every_session(office, UpdateOperator(by=BOB, changes={"disabled": True}))


def test_fewer_permissions_end_every_session(office: Office) -> None:
    ends_every_session(office, UpdateOperator(by=BOB, changes={"permissions": (MANAGE,)}))


def test_a_name_and_more_permissions_leave_sessions_alone(office: Office) -> None:
    claims = office.claims(office.login())
    changes = {"name": "Anne", "permissions": (*office.record().permissions, "system.operators.read")}
    changed = office.ask(ANN, UpdateOperator(by=BOB, changes=changes))
    assert (changed.name, len(changed.permissions)) == ("Anne", 3)
    assert session_valid(office.record(), claims, office.clock.wall()) is None
    assert [event.payload["fields"] for event in office.told("operator.updated")] == [["name", "permissions"]]


def test_only_what_is_editable_changes_and_only_under_the_expected_version(office: Office) -> None:
    version = office.record().version
    assert code(office.ask(ANN, UpdateOperator(by=BOB, changes={"password_hash": "x"}))) == "field_not_editable"
    assert code(office.ask(ANN, UpdateOperator(by=BOB, changes={"name": "x"}, expected_version=version + 1))) == "version_conflict"
    new = Secret("a new long password")
    assert code(office.ask(ANN, SetPassword(by=BOB, password=new, expected_version=version + 1))) == "version_conflict"
    assert code(office.ask(NOBODY, UpdateOperator(by=BOB, changes={"name": "x"}))) == "not_found"
    assert code(office.ask(NOBODY, SetPassword(by=BOB, password=new))) == "not_found"
    assert code(office.ask(NOBODY, Logout("x"))) == "not_found"
    assert office.record().version == version


def test_nobody_takes_the_management_of_operators_from_themselves(office: Office) -> None:
    for changes in ({"disabled": True}, {"permissions": ("system.peers.read",)}, {"permissions": ()}):
        refused = office.ask(ANN, UpdateOperator(by=ANN, changes=changes))
        assert (refused.code, refused.status) == ("last_operator", 409)
    assert isinstance(office.ask(ANN, UpdateOperator(by=ANN, changes={"permissions": (MANAGE,)})), Operator)
    assert isinstance(office.ask(ANN, UpdateOperator(by=BOB, changes={"disabled": True})), Operator)


def test_who_does_not_manage_operators_shows_the_old_password(office: Office) -> None:
    office.ask(BOB, create(email="bob@example.org", permissions=("system.peers.read",)))
    new = Secret("a new long password")
    assert code(office.ask(BOB, SetPassword(by=BOB, password=new))) == "wrong_password"
    assert code(office.ask(BOB, SetPassword(by=BOB, password=new, old_password=Secret("wrong")))) == "wrong_password"
    assert isinstance(office.login(BOB), SignedIn)
    assert isinstance(office.ask(BOB, SetPassword(by=BOB, password=new, old_password=Secret(PASSWORD))), Operator)
    assert isinstance(office.login(BOB, "a new long password"), SignedIn)


def test_an_old_password_that_is_replaced_meanwhile_is_worth_nothing(office: Office) -> None:
    office.hold = (HashPassword,)
    mine = office.send(ANN, SetPassword(by=ANN, password=Secret("by the old password"), old_password=Secret(PASSWORD)))
    office.hold = ()
    assert isinstance(office.ask(ANN, SetPassword(by=BOB, password=Secret("by the manager"))), Operator)
    office.release()
    assert [code(outcome) for outcome in mine] == ["version_conflict"]
    assert isinstance(office.login(password="by the manager"), SignedIn)
