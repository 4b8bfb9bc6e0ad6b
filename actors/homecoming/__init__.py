"""What has moved to peers since the copy of the data was made on which this platform runs."""
