"""The business itself: plain Python, standard library only, no input and no output."""
