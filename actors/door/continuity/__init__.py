"""Frozen trust at the door."""
