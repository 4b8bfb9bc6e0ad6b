"""Operators: the people who run a platform, their permissions and their sessions."""
