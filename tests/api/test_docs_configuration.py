"""The operator guide lists every option with its variable and its default, and none that does not exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from api.configuration import OPTIONS, Configuration, Option

PAGE = Path(__file__).parents[2] / "docs/operator-guide.md"
_ROW = re.compile(r"^\| `([a-z_]+(?:\.[a-z_]+)+)` \| `(POWERNODE_[A-Z_]+)` \| (.+?) \| (.+) \|$", re.MULTILINE)
ROWS = {key: (variable, default, meaning) for key, variable, default, meaning in _ROW.findall(PAGE.read_text("utf-8"))}
DEFAULTS = {row.key: row.value for row in Configuration(data=Path("DATA")).effective()}


def written(value: object) -> str:
    """A default as the page writes it: in the notation of the file, or in a word where there is none."""
    return "none" if value is None else f"`{json.dumps(value)}`"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_an_option_stands_in_the_guide(option: Option) -> None:
    assert option.key in ROWS, f"{option.key} is missing"
    variable, default, meaning = ROWS[option.key]
    assert variable == option.variable
    assert default == written(DEFAULTS[option.key])
    assert meaning.strip()


def test_the_guide_lists_no_option_that_does_not_exist() -> None:
    assert set(ROWS) == {option.key for option in OPTIONS}
