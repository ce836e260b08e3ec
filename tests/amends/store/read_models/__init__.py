"""Read models: followed, set aside, rebuilt, promoted, inline and live."""
