"""The code itself, looked at and not run."""
