"""What a projection is made of: its columns, its rows as a table gives them back, and what is done with it."""
