"""Help for whoever types commands: how they are called here, examples of each, and completion in a shell."""
