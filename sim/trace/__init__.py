"""What happened in a run, as values: events with their causes, and how they are written down."""
