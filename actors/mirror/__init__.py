"""Mirrors: read-only replicas of records that other platforms are the home of."""
