"""What a process says: lines of a terminal, and lines of the log."""
