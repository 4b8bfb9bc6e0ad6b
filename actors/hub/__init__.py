"""The hub: a publicly reachable platform relays TLS, unopened, for peers that can only dial out."""
