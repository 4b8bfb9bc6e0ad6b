"""What we offer to peers, and who has a seat."""
