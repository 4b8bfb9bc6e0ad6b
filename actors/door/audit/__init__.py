"""The family of calls about audit trails beyond reading one's own: shipments, excerpts for peers, and asking a peer for its."""
