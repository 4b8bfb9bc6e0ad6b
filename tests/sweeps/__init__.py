"""Sweeps that take an hour or a night, and that go on where they were stopped: `python -m tests.sweeps --help`.

Lives here: what is swept, in which order, and what is told of it. Must not live here: a run (see `sim`), or a judgement: a violation is
whatever a run, a comparison or a pair of digests says. What takes seconds is a test and stands elsewhere.
"""
