"""Commands about many business processes at once."""
