"""What the documentation names exists: paths of this repository, headings behind links, and single tests. Long pages are indexed whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OVERVIEWS = (ROOT / "README.md", ROOT / "scenarios/README.md")
PAGES = (*OVERVIEWS, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/decisions").glob("*.md")))
FOLDERS = ("actors", "api", "docs", "net", "runtime", "scenarios", "sim", "tests")

DECISIONS = ROOT / "docs/decisions"
INDEXED_FROM_LINES = 300

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_INDEX_ENTRY = re.compile(r"^- \[([^\]]+)\]\(#", re.MULTILINE)
_QUOTED = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)(?:::(\w+))?`")


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Target and anchor of every link of a page that stays inside the repository."""
    for target in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page have where such pages are usually shown."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


def headings(page: Path, level: str = "#+") -> list[str]:
    """The headings of a page, of one level or of every level, in order."""
    return re.findall(rf"^{level} (.+)$", _FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), f"{page.name} links to {target}, which does not exist"
        assert not anchor or anchor in anchors(target), f"{page.name} links to #{anchor}, which {target.name} does not have"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_paths_and_tests_exist(page: Path) -> None:
    for path, function in _QUOTED.findall(page.read_text("utf-8")):
        target = ROOT / path
        assert target.exists(), f"{page.name} names {path}, which does not exist"
        if function:
            found = re.search(rf"^(?:async )?def {function}\(", target.read_text("utf-8"), re.MULTILINE)
            assert found, f"{page.name} names the test {function}, which {path} does not have"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_two_headings_of_a_page_are_the_same(page: Path) -> None:
    assert sorted(headings(page)) == sorted(set(headings(page))), f"links to {page.name} would lead to the first of them only"


LONG_PAGES = [page for page in PAGES if len(page.read_text("utf-8").splitlines()) >= INDEXED_FROM_LINES]


@pytest.mark.parametrize("page", LONG_PAGES, ids=lambda page: page.name)
def test_a_long_page_begins_with_an_index_of_all_its_sections(page: Path) -> None:
    beginning = page.read_text("utf-8").partition("\n## ")[0]
    assert _INDEX_ENTRY.findall(beginning) == headings(page, "##")


def test_every_decision_stands_in_the_list_of_decisions_under_its_title() -> None:
    listed = re.findall(r"^- (\d{4}): \[(.+)\]\((.+)\)$", (DECISIONS / "README.md").read_text("utf-8"), re.MULTILINE)
    assert listed == [(page.name[:4], headings(page)[0], page.name) for page in sorted(DECISIONS.glob("[0-9]*.md"))]


def test_the_check_sees_paths_at_all() -> None:
    seen = [match for page in PAGES for match in _QUOTED.findall(page.read_text("utf-8"))]
    assert any(function for _, function in seen)
    assert any(anchor for page in PAGES for _, anchor in links(page))
