"""Review a member after a while: wait for somebody's word, for a day at most."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.amends.saga import Saga, Transaction, hours, signal, transaction


@signal("verdict")
class Verdict:
    good: bool


@dataclass(frozen=True)
class Review(Saga[str, str], name="review", version=1, signals=[Verdict]):
    async def run(self, request: str) -> str:
        await self.note(request, "asked")
        verdict = await self.receive(Verdict, timeout=hours(24))
        word = "good" if verdict and verdict.good else "bad"
        await self.note(request, word)
        return word

    @transaction(compensation=None)
    async def note(self, tx: Transaction, member: str, word: str) -> None:
        await tx.execute(
            "insert into shop.reviews (member, word) values (%(member)s, %(word)s)", {"member": member, "word": word}
        )
