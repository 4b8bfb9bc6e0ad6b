"""The inventory: which kinds of resources a platform knows, and what of them may leave it.

Lives here: declarations and the registry built from them. Must not live here: a record, a route or a rule about who may read what.
"""
