"""Capabilities: what flows between a peer and this platform by itself, and how it is kept in step."""
