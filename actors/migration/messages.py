"""What may be said to a migration, and between it and the catalogues at both ends.

Lives here: frozen messages. Must not live here: behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.approval.messages import AskApproval
from actors.idempotency.record import Mark
from actors.migration.record import ArrivalRecord
from actors.migration.steps import Header, Policy, Step
from runtime.actor import CallResult
from runtime.errors import Fault
from runtime.secret import Secret
from runtime.values import Value


class ForHop(Value, frozen=True, kw_only=True):
    """The hop of a chain that a migration carries out: the id of its row, and its place."""

    hop_id: str
    chain_id: str
    number: int


class MigrationMoved(Value, frozen=True):
    """To a hop: its migration has another status now, or cannot be planned (`fault`)."""

    migration_id: str
    fault: Fault | None = None


# --- from operators, at the source ------------------------------------------------------------------------------------


class Plan(Value, frozen=True, kw_only=True):
    """Make a plan. With `dry_run` nothing is asked of the destination. Answer: the record, or a fault.

    Attributes:
        bearer: of the destination's grant; None to use one that is held already.
        apply: go on as soon as nothing stands in the way, without another word of an operator.
        hop: what it is done for, if it is a hop of a chain.
        override_residency: if our rules refuse it, answer `NeedsException` instead, and plan nothing.
    """

    account_id: str
    by: str | None
    header: Header
    destination_peer_id: str
    bearer: Secret | None
    dry_run: bool
    acknowledge_residency: bool
    apply: bool = False
    hop: ForHop | None = None
    override_residency: bool = False
    mark: Mark | None = None


class NeedsException(Value, frozen=True):
    """The answer to a plan that our rules refuse and for which an exception is wanted: what to let wait for approval."""

    asked: AskApproval


class Act(Value, frozen=True, kw_only=True):
    """Validate, apply, cancel or try again. Answer: the record, or a fault.

    Attributes:
        act: one of the four words.
        acknowledge_residency: the operator says that crossing a boundary is meant.
    """

    by: str | None
    act: str
    acknowledge_residency: bool = False
    expected_version: int | None = None
    mark: Mark | None = None


class SetStep(Value, frozen=True, kw_only=True):
    """Decide what happens where a step meets a record of the destination. Answer: the record, or a fault."""

    by: str | None
    order: int
    policy: Policy
    expected_version: int | None = None
    mark: Mark | None = None


class Resolve(Value, frozen=True, kw_only=True):
    """Say what became of a migration whose other side cannot be asked any more. Answer: the record, or a fault.

    Attributes:
        keep: the records live here; otherwise at the other side.
        word: who of the other side said so, and how; it stands in the audit chain.
        receipt: the signed receipt of the other side, as its operators have handed it over: then nothing rests on a word.
    """

    by: str | None
    keep: bool
    word: str
    receipt: Mapping[str, Any] | None = None
    expected_version: int | None = None
    mark: Mark | None = None


# --- between a migration and the catalogue of its source --------------------------------------------------------------


class Freeze(Value, frozen=True, kw_only=True):
    """Hold these records for a migration, all or none. Answered by `Frozen`. May come twice.

    Attributes:
        claimed: they are held because a peer says that they have moved, so also while nothing else of an earlier copy may be touched.
    """

    migration_id: str
    ids: tuple[str, ...]
    claimed: bool = False


class Frozen(Value, frozen=True, kw_only=True):
    """Every record is held now, or `fault` says why none is."""

    fault: Fault | None = None


class Release(Value, frozen=True):
    """Let go of whatever this migration holds. Answered by `Released`. May come twice."""

    migration_id: str


class Released(Value, frozen=True):
    """No record is held by the migration any more."""


class Depart(Value, frozen=True, kw_only=True):
    """The records live at the destination now: leave tombstones that say so. Answered by `Departed`. May come twice."""

    migration_id: str
    peer_id: str
    instance_id: str


class Departed(Value, frozen=True):
    """No record is held by the migration any more, and none of those it moved lives here."""


# --- outcomes of calls -------------------------------------------------------------------------------------------------


class BearerSealed(CallResult, frozen=True):
    """The bearer, fit to be stored."""


class PreflightAnswered(CallResult, frozen=True):
    """What the destination says about the names of the plan."""


class TransferAnswered(CallResult, frozen=True):
    """The answer to opening, uploading or committing; `tag` is (attempt's id, what was asked)."""


class OutcomeAnswered(CallResult, frozen=True):
    """The answer to a look at the outcome, or to a fence; `tag` is (attempt's id, what was asked)."""


class FinalizeAnswered(CallResult, frozen=True):
    """Whether the destination knows that we have let go."""


class ReclaimAnswered(CallResult, frozen=True):
    """What the same destination says under a new peering; `tag` is (attempt's id, id of the peer that was asked)."""


# --- to the catalogue of the destination -------------------------------------------------------------------------------


class Open(Value, frozen=True, kw_only=True):
    """Begin to stage a plan, or begin again with the same one. Answer: the arrival, or a fault."""

    arrival: ArrivalRecord


class Stage(Value, frozen=True, kw_only=True):
    """Keep some steps of an open plan. Answer: the arrival, or a fault."""

    arrival_id: str
    steps: tuple[Step, ...]


class Commit(Value, frozen=True):
    """Apply the plan in this one turn. Answer: `Landed`, or a fault; a repeated one gets the same answer."""

    arrival_id: str


class Landed(Value, frozen=True):
    """An applied arrival, and whether it was applied just now."""

    arrival: ArrivalRecord
    fresh: bool


class Fence(Value, frozen=True, kw_only=True):
    """Promise never to apply. Answer: the arrival, which says `fenced`, or `applied` if it came too late."""

    arrival: ArrivalRecord


class Finalize(Value, frozen=True):
    """The source has let go: what arrived may be written now. Answer: the arrival, or a fault."""

    arrival_id: str


class Reclaim(Value, frozen=True, kw_only=True):
    """The source asks under a new peering: what was not applied never will be. Answer: the arrival, which belongs to that peering now."""

    arrival_id: str
    peer_id: str
    peering_epoch: int


class ResolveArrival(Value, frozen=True, kw_only=True):
    """An operator says whether what has arrived stays (`keep`) or goes, since the source cannot be asked any more. Answer: the arrival."""

    arrival_id: str
    by: str | None
    keep: bool
    word: str
    mark: Mark | None = None


class DropStaged(Value, frozen=True):
    """End a plan that nobody has committed in time."""

    arrival_id: str


# --- to the arrival's own actor ----------------------------------------------------------------------------------------


class Prove(Value, frozen=True):
    """Sign the receipt. Answer: `Proof`, or a fault."""


class Signed(CallResult, frozen=True):
    """The signature; `tag` is who waits for it."""


class Proof(Value, frozen=True, kw_only=True):
    """A receipt and what shows that this platform has written it."""

    receipt: Mapping[str, Any]
    signature: str
    certificate_pem: str
