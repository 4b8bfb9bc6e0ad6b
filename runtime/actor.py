"""Actors as their authors see them: the base class, references, handler registration, the engine's own messages.

Lives here: what an actor class is made of. Must not live here: scheduling, storage or supervision (see `engine`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar

from runtime.errors import Fault
from runtime.limits import MAILBOX_USER_MAX, PASSIVATE_AFTER_S
from runtime.values import Value

if TYPE_CHECKING:
    from runtime.context import Context
    from runtime.store.port import Kind

Overflow = Literal["reject", "drop_oldest", "coalesce", "block"]
Method = TypeVar("Method", bound=Callable[..., None])


class Ref(NamedTuple):
    """The address of a virtual actor: always valid, whether or not the actor is in memory or its record exists."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"


def handles(message_type: type) -> Callable[[Method], Method]:
    """Mark a plain method `on_x(self, message, ctx)` as the handler of one message type."""

    def mark(method: Method) -> Method:
        method.__handles__ = message_type  # type: ignore[attr-defined]
        return method

    return mark


def spared_while(quiet: Callable[[Any, Context], bool]) -> Callable[[Method], Method]:
    """Mark the handler of a message by which an actor looks again and again: while nothing is to be seen, no turn is taken.

    When a timer would bring such a message to an actor that is at rest, `quiet(actor, ctx)` is asked first. As long as it says True the
    timer is armed again for as long as before, as the handler itself would have done. It must say True only if all that the handler
    would do is to arm that timer; it may read `now`, `wall`, `settings` and rows through `ctx`, and must describe no effects and draw
    nothing. If it raises, the message comes. A handler that was put in the place of a marked one is not marked.
    """

    def mark(method: Method) -> Method:
        method.__spared_while__ = quiet  # type: ignore[attr-defined]
        return method

    return mark


class Activated:
    """Sent by the engine to itself: run `on_activated` as a turn of its own."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Activated()"


def _run_activation(actor: Actor, message: Activated, ctx: Context) -> None:
    actor.on_activated(ctx)


class Actor:
    """Base class of actors.

    Handlers are plain functions: they decide, and describe effects through `ctx`; they never wait. `record` and `evidence` are the
    last committed ones; any other attribute is volatile and is gone after a crash, a refused turn, a passivation or a restart.

    Class attributes:
        kind: the storage declaration, or None for an actor without a record.
        mailbox_max, overflow: bound of the user lane and what happens beyond it. `block` makes only waiting senders wait; a plain
            tell beyond the bound is rejected.
        coalesce_key: with overflow `coalesce`: messages of equal key replace each other in the queue.
        passivate_after_s: idle time after which only the record remains; None keeps the actor in memory.
    """

    kind: ClassVar[Kind | None] = None
    mailbox_max: ClassVar[int] = MAILBOX_USER_MAX
    overflow: ClassVar[Overflow] = "reject"
    passivate_after_s: ClassVar[float | None] = PASSIVATE_AFTER_S
    # Subclasses copy this when they are made, so it must be whole from the start, whatever is imported later.
    handlers: ClassVar[dict[type, Callable[[Any, Any, Any], None]]] = {Activated: _run_activation}

    __slots__ = ("__dict__", "evidence", "record", "ref")

    ref: Ref
    record: Any
    evidence: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        handlers = dict(cls.handlers)
        for name in dir(cls):
            # An abstract class has names without a value while it is being made.
            method: Any = getattr(cls, name, None)
            message_type = getattr(method, "__handles__", None)
            if message_type is not None:
                handlers[message_type] = method
        cls.handlers = handlers

    def on_activated(self, ctx: Context) -> None:
        """Called as a turn of its own when the actor enters memory with a record; arms volatile timers, resumes intents."""

    def holds_work(self) -> bool:
        """Whether volatile state must keep the actor in memory (an open slot, a running exchange)."""
        return False

    @staticmethod
    def coalesce_key(message: Any) -> object:
        return type(message)


class Due(Value, frozen=True):
    """Sent by the engine when `kind.due(record)` has passed; at least once per deadline."""


class Resume(Value, frozen=True):
    """Sent by the engine after a start to every record that asked for it."""


class CallResult(Value, frozen=True):
    """Base of messages that bring the outcome of a port call.

    Attributes:
        outcome: the port's result value, or a `Fault`.
        tag: whatever the caller attached to `ctx.call`.
    """

    outcome: Any
    tag: Any = None

    @property
    def fault(self) -> Fault | None:
        return self.outcome if isinstance(self.outcome, Fault) else None
