"""Read models on any store: followed by runners, rebuilt beside the live build, promoted, and written inline."""
