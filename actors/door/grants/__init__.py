"""Grants at the door: the gate of grant-gated calls, and the operators' and holders' routes."""
