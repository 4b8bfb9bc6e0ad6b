"""The social contract: immutable text, supported versions, spellings of the number."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.contract import record
from actors.contract.record import VERSIONS, ContractVersion, parse_version, supported


def version(number: int, deprecated_at: float | None = None) -> ContractVersion:
    return ContractVersion(number, f"text {number}", hashlib.sha256(b"x").hexdigest(), 0.0, deprecated_at)


@pytest.mark.parametrize("entry", VERSIONS, ids=lambda entry: f"v{entry.version}")
def test_the_digest_covers_the_exact_text(entry: ContractVersion) -> None:
    assert hashlib.sha256(entry.text.encode("utf-8")).hexdigest() == entry.digest
    assert "\r" not in entry.text


def test_an_altered_text_does_not_load() -> None:
    with pytest.raises(ValueError, match="altered"):
        record.load(1, "0" * 64, 0.0)


def test_a_version_that_is_not_shipped_does_not_load() -> None:
    with pytest.raises(OSError, match="version_999"):
        record.load(999, "0" * 64, 0.0)


def test_version_1_makes_twelve_promises_and_says_its_periods() -> None:
    text = VERSIONS[0].text
    promises = re.split(r"^(\d+)\. ", text, flags=re.MULTILINE)
    assert [int(number) for number in promises[1::2]] == list(range(1, 13))
    for number, period in ((4, "five minutes"), (5, "72 hours"), (9, "24 hours"), (10, "30 days")):
        assert period in " ".join(promises[2 * number].split())


def test_this_release_offers_version_1() -> None:
    assert 1 in {entry.version for entry in supported()}


@given(st.lists(st.booleans(), max_size=6))
def test_offered_are_the_newest_that_is_not_retired_and_the_one_before_it(retired: list[bool]) -> None:
    versions = [version(number, 1.0 if gone else None) for number, gone in enumerate(retired, start=1)]
    offered = [entry.version for entry in supported(versions)]
    usable = [entry.version for entry in versions if entry.deprecated_at is None]
    assert offered[:1] == usable[-1:]
    assert all(number in usable and usable[-1] - number <= 1 for number in offered)
    if len(usable) > 1 and usable[-2] == usable[-1] - 1:
        assert offered == [usable[-1], usable[-2]]


def test_a_retired_version_is_still_found_for_the_peers_that_agreed_to_it() -> None:
    versions = [version(1, deprecated_at=5.0), version(2)]
    found = record.find(1, versions)
    assert found is versions[0]
    assert found.to_json(is_supported=False)["deprecated_at"] == "1970-01-01T00:00:05.000Z"
    assert record.find(3, versions) is None


@given(st.integers(1, 999_999))
def test_three_spellings_are_one_number(number: int) -> None:
    assert parse_version(number) == parse_version(str(number)) == parse_version(f"v{number}") == number


@pytest.mark.parametrize("value", [None, True, 0, -1, 10**6, 1.0, "", "0", "01", "V1", "v", " 1", "1\n", "1.0", "١", [1], {}])
def test_other_spellings_are_no_version(value: object) -> None:
    assert parse_version(value) is None
