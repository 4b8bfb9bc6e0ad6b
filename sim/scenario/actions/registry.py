"""The registry of actions.

Lives here: the decorator, and nothing that acts. An action is an attrs class whose fields are its keys and whose `perform` acts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


class Action(Protocol):
    """Something that an operator does, or that happens to a platform."""

    def perform(self, stage: Stage, name: str | None) -> None:
        """Let it happen now. `name` is what the file calls the step, for the answer of an operator's call.

        Raises:
            StageError: it cannot happen; the scenario is wrong or went wrong before.
        """
        ...


ACTIONS: Final[dict[str, type]] = {}
"""Word in the file to the class of the action."""

ANSWERED: Final[dict[str, Collection[str] | None]] = {}
"""Words of the actions that are an operator's call, so that expectations may ask for its answer, to the first words of their answers.

None: `ok`, or a code of a route. Empty: anything.
"""

FAULTS: Final[set[str]] = set()
"""Words of the actions that do harm, so that a sweep can say how many faults it has injected."""

_Class = TypeVar("_Class", bound=type)


def action(
    word: str, *, answered: bool = False, answers: Collection[str] | None = None, fault: bool | None = None
) -> Callable[[_Class], _Class]:
    """Register a class under the word that files use for it.

    Args:
        answered: it is an operator's call.
        answers: what its answer begins with, if that is neither `ok` nor a code of a route; empty for anything.
        fault: it does harm; what no operator does is a fault unless this says otherwise.
    """

    def register(cls: _Class) -> _Class:
        assert word not in ACTIONS, word
        ACTIONS[word] = cls
        if answered:
            ANSWERED[word] = answers
        if not answered if fault is None else fault:
            FAULTS.add(word)
        return cls

    return register
