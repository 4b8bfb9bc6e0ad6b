"""Capabilities and mirrors at the door."""
