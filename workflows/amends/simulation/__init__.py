"""Plays sagas in memory, in milliseconds: time passes at once, and crashes come where a test wants them."""

from workflows.amends.simulation.checking import History, check
from workflows.amends.simulation.simulation import Simulation, SimulationResult

__all__ = ["History", "Simulation", "SimulationResult", "check"]
