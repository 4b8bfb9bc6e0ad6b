"""The faces of the daemon: operator REST, federation API, events over WebSocket, the command line and the composition root.

Must not live here: a decision. Faces transcode to and from `actors.door`.
"""
