"""The causes of suspensions and compensations: what sagas with the same trouble have in common."""
