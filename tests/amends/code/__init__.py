"""The code itself: format, types, imports, packages."""
