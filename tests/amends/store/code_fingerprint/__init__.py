"""The code and the data that a fold depends on."""
