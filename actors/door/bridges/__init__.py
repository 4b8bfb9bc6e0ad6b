"""Bridges at the door."""
