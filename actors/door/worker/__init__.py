"""What the scheduler of another program may start, at the door."""
