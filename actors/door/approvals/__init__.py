"""The door's routes of operations that wait for approval."""
