"""What can happen in a scenario, one small file per action.

Lives here: the import of every file of this folder, so that adding an action is adding its file.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
