"""Grants that peers gave us: what we hold in order to call them. Nothing here is ever asked about a call that comes in."""
