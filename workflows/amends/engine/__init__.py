"""What makes a saga run, turn back and wait for a person; it knows no DBOS and no database."""
