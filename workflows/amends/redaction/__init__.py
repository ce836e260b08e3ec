"""What of stored values may be shown: the marks of their types, in the shapes of their JSON."""
