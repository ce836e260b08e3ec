"""Travelling: what a trip is made of, alone and in a group."""

from domain.travel.group import GroupTripRequest, Member
from domain.travel.trip import TripRequest

__all__ = ["GroupTripRequest", "Member", "TripRequest"]
