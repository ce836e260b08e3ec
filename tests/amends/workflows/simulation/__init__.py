"""Values that are kept, compared, masked and read."""
