"""What the last start of a daemon was given as flags, beside its data, so that whoever examines the directory sees what is in force.

Lives here: the one small file of it. Must not live here: what an option means (see `configuration`). A flag is never a secret.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Final

from api.configuration import OPTIONS, Configuration

STARTED_NAME: Final = "started.json"

log = logging.getLogger("powernode")


def note_start(configuration: Configuration) -> None:
    """Keep the flags of this start, in place of those of the last one. Whoever calls holds the directory. It stops no start."""
    given = {row.key: row.value for row in configuration.effective() if row.source.kind == "flag"}
    if given == flags_of_last_start(configuration.data):
        return
    path = configuration.data / STARTED_NAME
    try:
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps({"flags": given}), "utf-8")
        draft.replace(path)
    except OSError as error:
        log.warning("the flags of this start could not be noted in %s: %s", path, error)


def flags_of_last_start(data: Path) -> dict[str, object]:
    """The flags by dotted key; none if nothing, or nothing that can be read, is noted."""
    try:
        found = json.loads((data / STARTED_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    flags = found.get("flags") if isinstance(found, dict) else None
    known = {option.key for option in OPTIONS}
    return {key: value for key, value in flags.items() if key in known} if isinstance(flags, dict) else {}
