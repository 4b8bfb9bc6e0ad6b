"""Offerings at the door: for operators who offer, and for peers that subscribe."""
