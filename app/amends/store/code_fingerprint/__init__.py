"""Fingerprints of the code that folds: a snapshot of other code is not used."""
