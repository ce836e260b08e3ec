"""The tests of the example business, and of Amends through it."""
