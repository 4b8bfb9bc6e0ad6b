"""What the HTTP faces share: what they are made of, and waiting for the door.

Lives here: `Faces` and `ask`. Must not live here: a path, or any rule about callers or records.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import trio

from actors.door.call import Answer, Call
from actors.door.routes import NoMatch
from api.channel import ChannelDoor
from api.event_stream import EventDoor
from api.events import EventHub
from api.limits import ANSWER_DEADLINE_S
from api.transcoding import internal_error, refusal
from runtime.errors import InternalFault
from runtime.values import Value

log = logging.getLogger("powernode.api")


class Door(EventDoor, ChannelDoor, Protocol):
    """What the faces need of the door."""

    def handle(self, call: Call, done: Callable[[Answer], None]) -> None:
        """Decide about `call`. `done` is called exactly once, in trio's thread, possibly before this returns."""
        ...


class Health(Protocol):
    """What readiness asks. Names and verdicts are public, so they tell nothing else."""

    def checks(self) -> Mapping[str, bool]:
        """Each thing that must work before calls can be served, by name."""
        ...


class Faces(Value, frozen=True, kw_only=True):
    """What the HTTP application is made of.

    Attributes:
        door: decides about every call.
        events: what the event stream follows.
        health: what readiness asks.
        openapi: makes the API description, an object; asked once, when somebody wants it first.
        new_request_id: makes an id for a request that brings none.
        answer_deadline_s: how long a face waits for the door.
    """

    door: Door
    events: EventHub
    health: Health
    openapi: Callable[[], Mapping[str, Any]]
    new_request_id: Callable[[], str]
    answer_deadline_s: float = ANSWER_DEADLINE_S


async def ask(faces: Faces, call: Call) -> Answer:
    """The door's answer, or a 504 if it takes too long; its late answer is dropped."""
    answers: list[Answer] = []
    answered: trio.Event | None = None

    def done(answer: Answer) -> None:
        answers.append(answer)
        if answered is not None:
            answered.set()

    request_id = call.headers["x-request-id"]
    try:
        faces.door.handle(call, done)
    except Exception:
        log.exception("the door failed on request %s", request_id)
        return internal_error(request_id)
    if not answers:
        answered = trio.Event()
        with trio.move_on_after(faces.answer_deadline_s):
            await answered.wait()
    if answers:
        return answers[0]
    fault = InternalFault("deadline_exceeded", "there was no answer in time; the outcome is unknown, so look before repeating", 504)
    return refusal(fault, request_id)


def unmatched(found: NoMatch, method: str, request_id: str) -> Answer:
    """The answer to a call that has no route."""
    if method == "OPTIONS" and found.allow:
        return Answer(204, None, {"allow": ", ".join(found.allow)})
    return found.answer(request_id)
