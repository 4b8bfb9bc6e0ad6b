"""Grants that peers gave us, at the door: operators keep them, peers list and deliver them, and reads of a peer's resources use them."""
