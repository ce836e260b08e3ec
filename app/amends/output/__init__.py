"""The output of a process: lines of the terminal, and lines of the log."""
