"""What an idle actor weighs: the parts of which a daemon with ten thousand peers holds ten thousand.

Lives here: bounds on the size of single objects. Must not live here: the memory of a process, which is a bench.
"""

from __future__ import annotations

import sys

from runtime.limits import RECORDER_RING, RECORDER_RING_CROWDED, RECORDER_ROOMY_ACTORS
from runtime.mailbox import Mailbox
from runtime.recorder import new_ring

LIGHT_BYTES = 160
"""An empty deque has 624."""


def entry(number: int) -> tuple[float, float, int, str, tuple[str, ...], tuple[float, ...], None]:
    return (0.0, 0.0, number, "done", (), (), None)


def test_lanes_that_have_held_messages_are_light_and_keep_their_order() -> None:
    box = Mailbox()
    box.system = box.user = box.waiters = None
    box.put_system(("second", None))
    box.put_back(("first", None))
    box.put_user(("third", None), 8, "reject", type)
    assert [box.take(), box.take(), box.take(), box.take()] == [("first", None), ("second", None), ("third", None), None]
    assert box.system is not None
    assert box.user is not None
    assert max(sys.getsizeof(box.system), sys.getsizeof(box.user)) <= LIGHT_BYTES


def test_the_ring_of_one_of_many_actors_is_light_and_keeps_the_last_turns() -> None:
    ring = new_ring(RECORDER_ROOMY_ACTORS + 1)
    for number in range(10):
        ring.append(entry(number))
    assert [kept[2] for kept in ring] == list(range(10 - RECORDER_RING_CROWDED, 10))
    assert sys.getsizeof(ring) <= LIGHT_BYTES


def test_the_ring_of_one_of_few_actors_keeps_more() -> None:
    ring = new_ring(1)
    for number in range(RECORDER_RING + 1):
        ring.append(entry(number))
    assert [kept[2] for kept in ring] == list(range(1, RECORDER_RING + 1))
