"""Shapes of all stored data: declared by the code, locked in files, known to all servers."""
