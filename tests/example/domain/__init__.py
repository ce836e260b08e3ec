"""The decisions of the example."""
