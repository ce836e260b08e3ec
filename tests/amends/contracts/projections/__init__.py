"""The contract of the store of read models, and both stores under one random sequence of operations.

Each answer and the whole state are compared after each operation, until every operation has succeeded at least once.
`python -m tests.amends.contracts.projections SEED` replays what failed.
"""
