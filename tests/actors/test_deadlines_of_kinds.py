"""Every kind of record that has deadlines says which they are: looks that are put off, or dates of their own.

A look that a clock ahead has put off must be noticed when the clock is put right (`runtime.deadlines`); a date that somebody agreed on
must not be moved by that.
"""

from __future__ import annotations

from actors.registry import KINDS
from runtime.store.port import Kind

DATES = {
    "arrival": "a plan that is staged is dropped at a time that its sender may know",
    "grant": "until when it is valid, and then when it is archived",
    "mirror_shelf": "when what a home has ended is dropped",
    "remembered_answer": "until when a repeated request is known; to forget it early would be to act twice",
    "resource": "until when a tombstone is shown",
    "revoked_certificate": "until when the certificate would have been valid",
    "service_offering": "until when access goes on, as its subscribers were told",
    "subscription_lease": "until when a seat is taken",
}

NO_DEADLINES = Kind("none", object).due


def test_every_deadline_is_a_look_or_a_date() -> None:
    with_deadlines = {kind.name for kind in KINDS if kind.due is not NO_DEADLINES}
    looks = {kind.name for kind in KINDS if kind.put_off_s is not None}
    assert looks <= with_deadlines
    assert with_deadlines - looks == set(DATES)
    assert {kind.name for kind in KINDS if kind.has_dates} <= looks
