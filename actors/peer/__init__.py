"""A peer: another platform, as this one knows it. The record, its lifecycle, and the rules of pairing."""
