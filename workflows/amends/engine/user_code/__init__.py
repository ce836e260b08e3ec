"""Code of a team as it runs: in tasks of its own, named, and unable to end what is not its own."""
