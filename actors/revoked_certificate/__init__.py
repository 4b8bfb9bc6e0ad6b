"""Certificates of our own CA that are valid no more before their time."""
