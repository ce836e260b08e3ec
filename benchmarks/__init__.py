"""Amends beside what a user would pick instead, in one run on one machine. Believe the ratios, not the figures."""
