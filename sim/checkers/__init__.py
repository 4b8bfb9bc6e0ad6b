"""What must hold in every world at every moment: the safety checkers, one file per subject.

Lives here: the import of every file of this folder, so that adding a checker is adding its class. A checker reads what platforms have
committed and what crossed the links, never what a platform says of itself, and states its rule in its own words: it calls none of the code
that it judges.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
