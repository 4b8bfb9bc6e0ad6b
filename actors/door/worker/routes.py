"""Routes by which the scheduler of another program starts at once what this platform does by itself.

They take no body and name no object: whoever has the worker's token starts these runs and nothing else.
"""

from __future__ import annotations

from typing import Final

from actors.door.audit.bodies import SHIPPED
from actors.door.capabilities.bodies import SWEPT
from actors.door.route import SYSTEM, Route
from actors.door.worker import bodies

_TAG: Final = "Worker"
_FEDERATION: Final = f"{SYSTEM}/worker_api/federation"

ROUTES: Final = (
    Route(
        name="worker_heartbeat_sweep",
        method="POST",
        path=f"{_FEDERATION}/heartbeat_sweep",
        face="worker",
        tag=_TAG,
        summary="Degrade active peers that have been silent for too long",
        description="Without another try to reach them, which the platform makes every minute. The next heartbeat brings them back.",
        success={200: bodies.SWEPT},
    ),
    Route(
        name="worker_audit_shipment",
        method="POST",
        path=f"{_FEDERATION}/audit_shipment",
        face="worker",
        tag=_TAG,
        summary="Ship old audit entries to the archive now",
        success={200: SHIPPED},
        errors={404: ("not_found",), 409: ("shipment_running",)},
    ),
    Route(
        name="worker_capability_auto_sync",
        method="POST",
        path=f"{_FEDERATION}/capability_auto_sync",
        face="worker",
        tag=_TAG,
        summary="Let every capability that moves records make a pass now",
        success={200: SWEPT},
    ),
)
