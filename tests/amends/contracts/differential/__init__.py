"""The store in memory and the one in Postgres beside each other, under one random sequence of operations.

After Resonate's differential test: each answer and the whole state are compared after each operation, until every
operation has succeeded at least once. `python -m tests.amends.contracts.differential SEED` replays what failed.
"""
