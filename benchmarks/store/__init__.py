"""The event store beside what a user would pick instead, and beside the fastest way to write one row."""
