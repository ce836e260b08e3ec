"""Acts on many sagas at once: tried out, begun, worked off in batches by whichever server is free, and steered."""
