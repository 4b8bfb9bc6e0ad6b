"""Bridges: one overlay network opened to one peer."""
