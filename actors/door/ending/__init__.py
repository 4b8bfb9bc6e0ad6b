"""The end of trust and its pauses at the door."""
