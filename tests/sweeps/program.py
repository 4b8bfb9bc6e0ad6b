"""Which program a sweep was about: a result of other code proves nothing about this one.

Lives here: the digest of all code and scenarios, and what the version control calls them. Must not live here: a sweep.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent.parent
SOURCES = ("runtime/**/*.py", "actors/**/*.py", "net/**/*.py", "api/**/*.py", "sim/**/*.py", "scenarios/*.toml")


@attrs.frozen
class Program:
    """The code that is swept.

    Attributes:
        digest: of every file that a run depends on.
        commit: the version, with `+` behind it if files differ from it; empty where there is no version control.
    """

    digest: str
    commit: str


def program(*more: str) -> Program:
    """This program.

    Args:
        more: patterns of further files that what is to be kept depends on.
    """
    whole = hashlib.blake2b(digest_size=8)
    for file in sorted(path for pattern in (*SOURCES, *more) for path in ROOT.glob(pattern)):
        content = file.read_bytes()
        whole.update(f"{file.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return Program(whole.hexdigest(), _commit())


def _commit() -> str:
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if changed else "")
