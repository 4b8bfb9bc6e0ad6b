"""Shipments of audit chains to an archive that nobody changes."""
