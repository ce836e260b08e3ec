"""One server that runs sagas: an executor under its lease, what it runs, and what it takes over from the dead."""
