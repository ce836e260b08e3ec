"""Values to JSON and back: nothing that is stored is lost, and nothing that cannot be stored is taken."""
