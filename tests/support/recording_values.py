"""Values that messages and records are made of."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def plain_values() -> st.SearchStrategy[Any]:
    """Nested values of every plain kind."""
    leaves = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text() | st.binary(max_size=32)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
