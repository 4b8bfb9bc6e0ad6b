"""The general checkers, run over the whole tree: import contracts, lint, types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CHECK_TIMEOUT_S = 900

pytestmark = [pytest.mark.static, pytest.mark.timeout(CHECK_TIMEOUT_S)]

CHECKS = {
    "import-linter": ("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"),
    "ruff": ("-m", "ruff", "check", "--output-format=concise", "."),
    "mypy": ("-m", "mypy", "--no-error-summary"),
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_tree_passes(name: str) -> None:
    result = subprocess.run([sys.executable, *CHECKS[name]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{name}:\n{result.stdout}{result.stderr}"
