"""Every documented error code has its row in the troubleshooting page, with its statuses, a cause and a next step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from actors.door.routes import ROUTES, errors_of

PAGE = Path(__file__).parents[3] / "docs/troubleshooting.md"
_ROW = re.compile(r"^\| `([a-z0-9_]+)` \| ([0-9, ]+) \| (.+) \| (.+) \|$", re.MULTILINE)


def documented() -> dict[str, set[int]]:
    """The statuses under which each code is documented."""
    statuses: dict[str, set[int]] = {}
    for route in ROUTES:
        for status, codes in errors_of(route).items():
            for code in codes:
                statuses.setdefault(code, set()).add(status)
    return statuses


ROWS = _ROW.findall(PAGE.read_text("utf-8"))


@pytest.mark.parametrize(("code", "statuses"), sorted(documented().items()))
def test_a_code_is_explained(code: str, statuses: set[int]) -> None:
    rows = [row for row in ROWS if row[0] == code]
    assert len(rows) == 1, f"{code} has {len(rows)} rows"
    _, told, cause, remedy = rows[0]
    assert statuses <= {int(status) for status in told.split(",")}
    assert cause.strip()
    assert remedy.strip()


def test_no_code_is_explained_twice() -> None:
    codes = [row[0] for row in ROWS]
    assert len(codes) == len(set(codes))
