"""The shapes of everything that is stored: declared by the code, locked in a file, known to all servers."""
