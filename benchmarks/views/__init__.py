"""Read models: caught up with, rebuilt beside the live one, and followed under load."""
