"""The local catalogue: the resources of which this platform is the home."""
