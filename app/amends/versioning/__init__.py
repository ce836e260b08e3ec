"""Makes a new version of a saga: its file stays the newest one, and the old one gets a file of its own."""
