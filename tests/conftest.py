"""What holds for every test: property tests draw the same examples each time, and no verdict depends on how fast the machine is.

`pytest --hypothesis-profile=default` draws new examples.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("same-examples", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same-examples")
