"""Governance: what the platform notices about its peers and tells its operators, without ever acting on it."""
