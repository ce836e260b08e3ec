"""The feed: all events in one order that later commits never change, and those who follow it."""
