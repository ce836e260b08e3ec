"""One server of a cluster: the engine as it is, in a process that is simulated."""
