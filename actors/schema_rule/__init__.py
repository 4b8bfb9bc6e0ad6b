"""Operators' decisions about pairs of platform versions."""
