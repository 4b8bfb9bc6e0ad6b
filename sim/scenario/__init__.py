"""Scenario files: several platforms, what happens to them, and what must come of it.

Lives here: the format, its strict reader, the actions, the checkers and the runner. Must not live here: the simulated world itself.
"""
