"""Shapes and samples of what is stored, and who knows them."""
