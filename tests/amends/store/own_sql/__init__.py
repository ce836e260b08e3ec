"""Transactions with SQL of their own."""
