"""What operators do on running servers: brakes, acts on many, read models that are in trouble."""
