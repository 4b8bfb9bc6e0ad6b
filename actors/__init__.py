"""The domain: one folder per kind of actor, the door, and the ports through which the domain asks the world for something.

Must not live here: I/O of any kind, clocks, entropy, or an import of trio, ssl, sqlite3 or of the packages net, sim and api.
"""
