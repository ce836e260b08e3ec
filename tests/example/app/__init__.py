"""The example served: HTTP and command line."""
