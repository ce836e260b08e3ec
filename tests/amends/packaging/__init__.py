"""Amends as a package: the wheel, a project on it, this tree without its example, and what moved where."""
