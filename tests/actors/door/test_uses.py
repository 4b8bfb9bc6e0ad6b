"""Uses of a grant are gathered: the first is told at once, the others together, and none twice or never."""

from __future__ import annotations

import pytest

from actors.grant.messages import Used
from actors.limits import GRANT_USES_GATHERED_S
from runtime.actor import Ref
from tests.support.grants import Peers, peers


@pytest.fixture
def two() -> Peers:
    return peers()


def heard(two: Peers, grant_id: str) -> list[int]:
    """How many uses each message that the row has got told."""
    return [entry.message.times for entry in two.a.engine.history(Ref("grant", grant_id)) if isinstance(entry.message, Used)]


def use_count(two: Peers, grant_id: str) -> int:
    """As an operator sees it once the row has written its tally."""
    two.world.run_for(61.0)
    return int(two.ask("GET", grant_id).data["grant"]["use_count"])


def use(two: Peers, bearer: str, times: int) -> None:
    for _ in range(times):
        assert two.code(bearer) == "ok"
    two.world.run_for(0.0)


def test_the_first_use_is_told_at_once_and_what_follows_together(two: Peers) -> None:
    grant_id, bearer = two.issue()
    use(two, bearer, 20)
    assert heard(two, grant_id) == [1]
    two.world.run_for(GRANT_USES_GATHERED_S)
    assert heard(two, grant_id) == [1, 19]
    use(two, bearer, 2)
    assert heard(two, grant_id) == [1, 19]
    two.world.run_for(GRANT_USES_GATHERED_S)
    assert heard(two, grant_id) == [1, 19, 2]
    assert use_count(two, grant_id) == 22


def test_after_a_pause_a_use_is_told_at_once_again(two: Peers) -> None:
    grant_id, bearer = two.issue()
    use(two, bearer, 1)
    two.world.run_for(3 * GRANT_USES_GATHERED_S)
    use(two, bearer, 1)
    assert heard(two, grant_id) == [1, 1]
    assert use_count(two, grant_id) == 2


def test_the_newest_of_gathered_uses_is_the_last_use(two: Peers) -> None:
    _, bearer = two.issue()
    grant_id, other = two.issue(remote_subject="other@platform-b.example.com")
    use(two, bearer, 1)
    two.world.run_for(GRANT_USES_GATHERED_S / 2)
    use(two, other, 2)
    last_at = two.a.clock.wall()
    two.world.run_for(GRANT_USES_GATHERED_S)
    told = [entry.message for entry in two.a.engine.history(Ref("grant", grant_id)) if isinstance(entry.message, Used)]
    assert [(message.at, message.times) for message in told] == [(last_at, 1), (last_at, 1)]


def test_uses_are_gathered_again_after_the_engine_has_forgotten_everything(two: Peers) -> None:
    grant_id, bearer = two.issue()
    use(two, bearer, 2)
    two.a.engine.reset(two.a.engine.store)
    use(two, bearer, 3)
    two.world.run_for(GRANT_USES_GATHERED_S)
    assert heard(two, grant_id)[-2:] == [1, 2]
