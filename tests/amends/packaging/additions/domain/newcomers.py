"""The read model `newcomers`: when members have joined, also of those who have left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.amends.projection import Projection, Recorded
from domain.members import MemberEvent, MemberJoined, members


@dataclass(frozen=True)
class Newcomer:
    member: str
    joined: datetime


def evolve(row: Newcomer | None, recorded: Recorded[MemberEvent]) -> Newcomer | None:
    return Newcomer(recorded.key, recorded.at) if isinstance(recorded.event, MemberJoined) else row


newcomers = Projection("newcomers", version=1, of=members, evolve=evolve, key="member")
