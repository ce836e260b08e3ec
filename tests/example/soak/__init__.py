"""Long fault tests."""
