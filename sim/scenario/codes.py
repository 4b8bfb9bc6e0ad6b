"""What operators' calls may be answered with.

Lives here: the codes of all routes, and the word for success. Must not live here: the words of actions that only look (see those).
"""

from __future__ import annotations

from typing import Final

from actors.door.routes import ROUTES, errors_of

NO_ANSWER: Final = "no_answer"
"""No answer ever came."""

ROUTE_CODES: Final[frozenset[str]] = frozenset({"ok"}.union(*(codes for route in ROUTES for codes in errors_of(route).values())))
"""`ok`, and every code that some route answers. Those of the federation API are among them, since an operator is told what a peer said."""
