"""The running program, over HTTP."""
