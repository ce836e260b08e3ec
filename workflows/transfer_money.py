"""Transfer money between two accounts; above a limit a person must approve it first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from domain.amends.errors import Refusal
from domain.amends.sender import SENDER
from domain.banking import TransferRequest, accounts, receive, send, take_back
from workflows.amends.saga import Saga, Transaction, hours, signal, transaction

APPROVAL_TIME = hours(48)


@signal("approval")
class Approval:
    """What a person says of a transfer above the limit."""

    approved: bool
    by: Annotated[str, SENDER]


class NotApproved(Refusal, name="not-approved"):
    """The transfer was not approved by {by}."""

    by: str


class ApprovalTimedOut(Refusal, name="approval-timed-out"):
    """Nobody approved the transfer in time."""


@dataclass(frozen=True)
class Transferred:
    transfer_id: str
    approved_by: str | None


@dataclass(frozen=True)
class TransferMoney(Saga[TransferRequest, Transferred], name="transfer-money", version=1, signals=(Approval,)):
    approval_limit: int
    """Minor units; what was decided about one transfer is recorded, so a changed limit changes none under way."""

    def reference(self, request: TransferRequest) -> str:
        return request.transfer_id

    async def run(self, request: TransferRequest) -> Transferred:
        needs_approval = await self.debit_account(request)
        approved_by = await self._approval() if needs_approval else None
        await self.credit_account(request)
        return Transferred(request.transfer_id, approved_by)

    async def _approval(self) -> str:
        approval = await self.receive(Approval, timeout=APPROVAL_TIME)
        if approval is None:
            raise ApprovalTimedOut
        if not approval.approved:
            raise NotApproved(approval.by)
        return approval.by

    @transaction
    async def debit_account(self, tx: Transaction, request: TransferRequest) -> bool:
        moved = (request.transfer_id, request.to_account, request.amount, request.currency)
        await tx.decide(accounts, request.from_account, send, *moved)
        return request.amount > self.approval_limit

    @debit_account.compensation
    async def return_money(self, tx: Transaction, request: TransferRequest) -> None:
        back = (request.transfer_id, request.amount, "the transfer was not completed")
        await tx.decide(accounts, request.from_account, take_back, *back)

    @transaction(pivot=True)
    async def credit_account(self, tx: Transaction, request: TransferRequest) -> None:
        moved = (request.transfer_id, request.from_account, request.amount, request.currency)
        await tx.decide(accounts, request.to_account, receive, *moved)
