"""Travelling: what a trip is made of."""

from domain.travel.trip import TripRequest

__all__ = ["TripRequest"]
