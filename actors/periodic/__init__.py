"""What a platform does by itself, again and again, and what operators are told of it."""
