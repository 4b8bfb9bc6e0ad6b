"""The file with a worker's token: private, of one good token, and never repeated in an error."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from net.credentials import CredentialsError
from net.worker_token import worker_token_digest

TOKEN = "a-token-of-a-scheduler-0123456789"


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "worker.token"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("text", [TOKEN, f"{TOKEN}\n", "x" * 256])
def test_a_token_is_kept_as_its_digest(tmp_path: Path, text: str) -> None:
    assert worker_token_digest(written(tmp_path, text)) == hashlib.sha256(text.strip().encode()).hexdigest()


def test_a_platform_may_have_none() -> None:
    assert worker_token_digest(None) is None


@pytest.mark.parametrize("text", ["", "\n", TOKEN[:31], "x" * 257, f"{TOKEN} {TOKEN}", f"{TOKEN}\n{TOKEN}", TOKEN + "\u00e4"])
def test_what_is_no_token_is_refused_unrepeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(CredentialsError, match="must hold one token") as caught:
        worker_token_digest(written(tmp_path, text))
    assert TOKEN not in str(caught.value)


def test_a_file_that_is_missing_or_open_to_others_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="there is no"):
        worker_token_digest(tmp_path / "none")
    with pytest.raises(CredentialsError, match="chmod 600"):
        worker_token_digest(written(tmp_path, TOKEN, 0o640))
