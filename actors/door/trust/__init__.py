"""Certificates and anchors at the door: their renewal and their rotation."""
