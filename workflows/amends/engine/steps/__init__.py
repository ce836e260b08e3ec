"""How one step is done: tried, recorded with its events in one commit, or left to an operator."""
