"""Grants: what one peer may read, use or move of ours, and the chain that decides each call."""
