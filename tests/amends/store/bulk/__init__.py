"""Acts on many sagas, as the database keeps them and servers work them off."""
