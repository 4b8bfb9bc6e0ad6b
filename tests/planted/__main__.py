"""`python -m tests.planted [--json] [NAME…]`: plant each fault, tell who found it and after how many runs. Exit 1 if one was not found."""

from __future__ import annotations

import json
import sys

import attrs

import tests.planted.chosen_blind
import tests.planted.faults  # noqa: F401  # registers the faults
from tests.planted.hunt import hunt
from tests.planted.registry import PLANTS


def main(arguments: list[str]) -> int:
    as_json, names = "--json" in arguments, [each for each in arguments if not each.startswith("-")]
    caught = {name: hunt(PLANTS[name]) for name in names or PLANTS}
    if as_json:
        print(json.dumps([attrs.asdict(found) if found else {"plant": name, "runs": None} for name, found in caught.items()], indent=1))
    else:
        for name, found in caught.items():
            place = f"{found.runs:5d}  {found.checker:20s} {found.file} seed {found.seed}" if found else " never"
            print(f"{name:36s} {place}")
        print(f"{sum(found is not None for found in caught.values())} of {len(caught)} found")
    return 0 if all(caught.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
