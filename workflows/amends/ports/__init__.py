"""What the engine needs of a store, in words that two implementations keep: Postgres and memory."""
