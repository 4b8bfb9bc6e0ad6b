"""The actor engine: clocks, chance, mailboxes, turns, supervision, storage.

Lives here: what any durable, deterministic actor system needs. Must not live here: anything about federation, sockets, TLS or HTTP.
"""
