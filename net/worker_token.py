"""The token of the scheduler of another program: read from its file, and kept as a digest alone.

Lives here: the reading. Must not live here: what the token opens (the door's routes of that face).
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from net.credentials import CredentialsError
from net.private_files import PrivateFileError, read_private

TOKEN_CHARS_MIN: Final = 32
TOKEN_CHARS_MAX: Final = 256
_TOKEN: Final = re.compile(rf"[!-~]{{{TOKEN_CHARS_MIN},{TOKEN_CHARS_MAX}}}", re.ASCII)


def worker_token_digest(path: Path | None) -> str | None:
    """The hex SHA-256 of the token in the file, or None if there is no such file in the configuration.

    Raises:
        CredentialsError: the file is missing, open to others, or holds no token.
    """
    if path is None:
        return None
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    provided = folder is not None and path.resolve().is_relative_to(Path(folder).resolve())
    try:
        content = read_private(path, provided=provided)
    except PrivateFileError as error:
        raise CredentialsError(f"the token of the worker: {error}") from error
    if content is None:
        raise CredentialsError(f"the token of the worker: there is no {path}; make it, or leave server.worker_token_file away")
    text = content.decode("ascii", "replace").strip()
    if _TOKEN.fullmatch(text) is None:
        raise CredentialsError(f"{path} must hold one token of {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} printable characters and no space")
    return hashlib.sha256(text.encode()).hexdigest()
