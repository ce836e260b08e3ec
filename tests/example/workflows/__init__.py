"""The example's sagas, simulated."""
