"""Whether this platform is the continuation of what its peers have known."""
