"""Peers as the overlay knows them, at the door."""
