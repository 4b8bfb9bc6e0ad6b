"""The door's routes of chains of migrations."""
