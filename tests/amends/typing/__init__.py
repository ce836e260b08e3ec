"""What type checkers must say."""
