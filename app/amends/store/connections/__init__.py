"""What is sent to the database, and on which connections: commits, reads, and looks whether it answers."""
