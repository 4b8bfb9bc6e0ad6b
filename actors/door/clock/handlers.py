"""The platform's clock at the door: what it shows, and the word of an operator about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from actors.door.request import Request
from actors.wall_clock.messages import Confirm
from actors.wall_clock.record import KIND, WallClockRecord, shown
from runtime.actor import Ref

if TYPE_CHECKING:
    from actors.door.door import Door


def get_clock(door: Door, request: Request) -> None:
    row = door.engine.directory.row(KIND.name, door.settings.identity.instance_id)
    _answer(door, request, row.record if row is not None else None)


def confirm_clock(door: Door, request: Request) -> None:
    message = Confirm(request.by, request.body["time"], request.body["reason"], request.mark)
    ref = Ref(KIND.name, door.settings.identity.instance_id)
    door.relay(request, ref, message, lambda outcome: _answer(door, request, outcome.record))


def _answer(door: Door, request: Request, record: WallClockRecord | None) -> None:
    clock = door.engine.clock
    request.ok(shown(record, door.settings.identity.boot_epoch, clock.wall(), clock.now()))


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {"get_clock": get_clock, "confirm_clock": confirm_clock}
