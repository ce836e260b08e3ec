"""Acts that a person decides on: what is said of them beforehand, and what they lead to."""
