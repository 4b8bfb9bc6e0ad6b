"""What the answer to an accept leaves of a row that is trusted already: crossed accepts keep the proof, another row there does not."""

from __future__ import annotations

from typing import Any

import pytest

from actors import certificates
from actors.peer.calling import absorbed
from actors.peer.remote_answers import AcceptAnswer
from runtime.values import evolve
from sim.world import World
from tests.sim.test_world import connected


@pytest.mark.parametrize("same_row", [True, False])
def test_our_certificate_is_the_one_for_the_row_that_the_answer_names(same_row: bool) -> None:
    _, b, _, at_b = connected(World(1))
    row: Any = b.engine.directory.row("peer", at_b)
    record = row.record
    anchors = certificates.load_anchors([anchor.pem for anchor in record.trusted_anchors])
    answer = AcceptAnswer(
        peer_id=record.remote_peer_id if same_row else "01ba60d3-3800-7439-8af4-15b5bda72aa5",
        instance_id=record.remote_instance_id,
        account_id=None,
        contract_version=1,
        contract_digest=None,
        platform_version=None,
        data_residency=None,
        server_identity=record.server_identity,
        anchors=anchors,
    )
    issued = evolve(record.outbound, serial="00ff")
    after = absorbed(record, answer, issued, b.clock.wall(), listener_pinned=False)
    assert after.remote_peer_id == answer.peer_id
    assert after.outbound is (record.outbound if same_row else issued)
