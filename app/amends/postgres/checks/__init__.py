"""What is looked at before a database is used: its version, what stands before it, its promises, and DBOS's tables."""
