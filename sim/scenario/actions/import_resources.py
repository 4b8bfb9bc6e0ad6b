"""`import_resources`: an operator writes records into the platform's catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TEXT, WHOLE, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

RESOURCES: Final = "/api/v1/system/platform/resources"


@action("import_resources", answered=True)
@attrs.frozen(kw_only=True)
class ImportResources:
    """An operator imports records with running numbers; what is there already under the same name is replaced."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    kind: str = attrs.field(default="NodeModule", metadata=key(one_of("NodeModule", "SdwanNetwork"), "which kind"))
    count: int = attrs.field(default=1, metadata=key(WHOLE, "how many records, at most 500"))
    first: int = attrs.field(default=0, metadata=key(WHOLE, "number of the first one"))
    versions: int = attrs.field(default=0, metadata=key(WHOLE, "how many versions each module has"))
    note: str = attrs.field(default="as it was", metadata=key(TEXT, "what the records say, so that another text is a change"))

    def perform(self, stage: Stage, name: str | None) -> None:
        records = [self._record(number) for number in range(self.first, self.first + self.count)]
        records += [self._version(record, number) for record in records for number in range(1, self.versions + 1)]
        stage.call(name, self.on, "POST", "", {"resources": records}, surface=RESOURCES)

    def _version(self, module: dict[str, Any], number: int) -> dict[str, Any]:
        named = {"name": module["attributes"]["name"]}
        return {"kind": "ModuleVersion", "attributes": {"node_module_id": named, "number": number}}

    def _record(self, number: int) -> dict[str, Any]:
        named = f"{self.kind.lower()}-{number:04}"
        attributes = {"name": named, "description": self.note} if self.kind == "NodeModule" else {"name": self.note, "slug": named}
        return {"kind": self.kind, "attributes": attributes}
