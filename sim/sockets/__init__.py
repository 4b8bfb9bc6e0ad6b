"""The socket level of the simulated world: the unmodified listener, HTTP stack and client over simulated TCP, in virtual time."""
