"""Negotiation of platform versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.schema_versions import MatrixRow, PlatformVersion, negotiate, parse_platform_version

numbers = st.integers(0, 4)
versions = st.builds(PlatformVersion, numbers, numbers, numbers)


def text(version: PlatformVersion) -> str:
    return f"{version.major}.{version.minor}.{version.patch}"


@given(versions, versions)
def test_without_rows_both_sides_come_to_the_same_result_and_patches_never_matter(local: PlatformVersion, remote: PlatformVersion) -> None:
    here, there = negotiate(text(local), text(remote)), negotiate(text(remote), text(local))
    assert here.status == there.status
    assert here.source == "implicit"
    close = local.major == remote.major and abs(local.minor - remote.minor) <= 1
    assert here.status == ("compatible" if close else "incompatible")
    assert negotiate(f"{local.major}.{local.minor}", text(remote)).status == here.status


def test_the_operators_row_comes_before_the_shipped_one_and_that_before_the_rule() -> None:
    shipped = MatrixRow("1.4.2", "1.3.9", "degraded", "slow", source="default", blocked_kinds=("skill",))
    decided = MatrixRow("1.4.2", "1.3.9", "incompatible", "no", source="operator")
    for rows in ([shipped, decided], [decided, shipped]):
        assert negotiate("1.4.2", "1.3.9", rows).source == "operator"
    result = negotiate("1.4.2", "v1.3.9", [shipped])
    assert (result.source, result.status, result.notes) == ("default", "degraded", "slow")
    assert result.blocks_kind("skill")
    assert not result.blocks_kind("dataset")
    assert negotiate("1.4.2", "1.3.8", [shipped, decided]).source == "implicit"


def test_a_row_is_for_one_direction() -> None:
    assert negotiate("1.3.0", "1.4.0", [MatrixRow("1.4.0", "1.3.0", "incompatible")]).status == "compatible"


def test_a_row_may_speak_for_a_version_that_does_not_parse() -> None:
    assert negotiate("1.0.0", "nightly", [MatrixRow("1.0.0", "nightly", "compatible")]).status == "compatible"


@pytest.mark.parametrize("silent", [None, ""])
def test_a_remote_that_names_no_version_is_reported_but_loses_nothing(silent: str | None) -> None:
    result = negotiate("1.0.0", silent, [MatrixRow("1.0.0", "", "compatible")])
    assert (result.status, result.source, result.remote_version) == ("incompatible", "implicit", None)
    assert not result.blocks_calls
    assert not result.blocks_kind("skill")


@pytest.mark.parametrize(
    "odd", ["1", "one.two", "1.2.3.4", "01.2.3", "1.-2", "1.2.3 ", "1.2.3\n", "１.2.3", "1." + "9" * 30, "1.2.3-" + "x" * 80]
)
def test_a_version_that_does_not_parse_blocks_calls(odd: str) -> None:
    result = negotiate("1.0.0", odd)
    assert (result.status, result.source) == ("incompatible", "implicit")
    assert result.blocks_calls


@pytest.mark.parametrize(
    ("spelling", "version"), [("1.4", (1, 4, 0)), ("v1.4.2", (1, 4, 2)), ("1.4.2-rc.1+b7", (1, 4, 2)), ("0.10.0", (0, 10, 0))]
)
def test_spellings_of_versions(spelling: str, version: tuple[int, int, int]) -> None:
    assert parse_platform_version(spelling) == PlatformVersion(*version)
