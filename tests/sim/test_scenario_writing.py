"""The writer of scenario files: whatever document it is given reads as the same document again."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.durations import parse_duration
from runtime.values import evolve
from sim.scenario.load import parse
from sim.scenario.schema import Scenario
from sim.scenario.write import duration, read_document, to_toml

ROOT = Path(__file__).parent.parent.parent
FILES = sorted((ROOT / "scenarios").glob("*.toml"))

keys = st.text(max_size=8) | st.sampled_from(["name", "description", "world", "platform", "at", "expect", "a-b", "a.b", '"'])
texts = st.text(max_size=20) | st.sampled_from(['"""', '\\"""', "a\nb", 'ends with "', "\r\n", "\x7f", "tab\t\n", "\\", '""""\n"'])
plain = texts | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans()
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6)
documents = st.dictionaries(keys, values | st.lists(st.dictionaries(keys, values, max_size=3), max_size=3), max_size=6)


@settings(deadline=None)
@given(documents, texts)
def test_any_document_is_read_as_it_was_written(document: dict[str, Any], comment: str) -> None:
    assert tomllib.loads(to_toml(document, comment=comment)) == document


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_shipped_scenario_that_is_written_anew_is_the_same_scenario(file: Path) -> None:
    def timeless(scenario: Scenario) -> Scenario:
        steps = tuple(evolve(step, line=0) for step in scenario.steps)
        expected = tuple(evolve(each, line=0) for each in scenario.expected)
        return evolve(scenario, steps=steps, expected=expected)

    text = to_toml(read_document(file), comment="first line\n\nthird line")
    assert text.startswith("# first line\n#\n# third line\n\nname = ")
    assert timeless(parse(text, "x.toml")) == timeless(parse(file.read_text("utf-8"), "x.toml"))


def test_what_toml_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="holds no NoneType"):
        to_toml({"name": None})


@given(st.floats(0, 1e6) | st.integers(0, 10**6).map(float) | st.integers(0, 10**7).map(lambda number: number / 1000))
def test_a_duration_is_read_as_it_was_written(seconds: float) -> None:
    assert parse_duration(duration(seconds)) == seconds
