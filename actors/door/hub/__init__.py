"""The hub at the door."""
