"""A small business of the tests' own: accounts with money in them, and orders that are placed."""
