"""Migrations at the door, for operators and for peers."""
