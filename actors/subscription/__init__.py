"""What we subscribe to at peers, and the routes that follow from it."""
