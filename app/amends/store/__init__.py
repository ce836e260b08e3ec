"""What is stored: events, the feed of them, aggregates, sagas, and what servers note for each other."""
