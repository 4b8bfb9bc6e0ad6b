"""The door: where a call from outside becomes a decision. Sans-I/O.

Lives here: routes, shapes of bodies, authentication order, admission, rate limits, error mapping.
Must not live here: HTTP, TLS or JSON bytes on the wire (faces transcode), and no state that an actor owns.
"""
