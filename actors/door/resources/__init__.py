"""The catalogue at the door: operators keep it, peers read it."""
