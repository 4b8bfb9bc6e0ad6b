"""`python -m api.cli`: the `powernode` command without its console script."""

from __future__ import annotations

from api.cli import main

main()
