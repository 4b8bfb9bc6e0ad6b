"""The peer channel at the door."""
