"""The real world: sockets, TLS, certificates' private keys, sealing, name resolution, the HTTP client.

Must not live here: decisions about peers, grants or tokens (those are in `actors`), and nothing of `sim`.
"""
