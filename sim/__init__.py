"""The simulated world: the same ports as `net`, in virtual time.

Must not live here: a second copy of any rule of the domain. The actors and the door that run here are those of production.
"""
