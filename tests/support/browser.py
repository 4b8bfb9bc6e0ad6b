"""A real browser for tests of pages: the system's Chromium, driven by Playwright.

Where there is none the test is skipped with the reason, unless nothing may be skipped: `POWERNODE_SKIP_NOTHING`, which continuous
integration sets.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

PATIENCE_MS = 120_000.0
"""How long is waited for what has to come. Only a failure costs it, so that it may be long enough for a machine with much else to do."""
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip


def chromium() -> str:
    """Where the browser is; skips the test, with the reason, where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = f"no browser: none of {', '.join(NAMES)} is installed"
        if os.environ.get("POWERNODE_SKIP_NOTHING"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def open_page(url: str, *, width: int = 1_400, height: int = 800) -> Iterator[Page]:
    """A page on which no script may fail and which asks nobody for anything but itself."""
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS), timeout=PATIENCE_MS)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE_MS)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.goto(url)
        yield page
        browser.close()
    assert problems == []
