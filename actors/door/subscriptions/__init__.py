"""Subscriptions at the door."""
