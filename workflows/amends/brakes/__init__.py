"""Brakes: operators hold what a scope names, and nothing new of it begins in any process until the brake is lifted."""
