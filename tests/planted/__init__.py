"""Faults planted in the landed handlers and the door, to see that the simulator finds them.

Lives here: the faults, each a small function that patches one named production function, and the hunt for them. A fault that nobody notices
is a hole in the checkers or in the scenarios, never a reason to change the fault.
"""
