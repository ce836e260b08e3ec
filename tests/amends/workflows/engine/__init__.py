"""The engine: the rules of run, of transactions and of replays, and hostile code."""
