"""Notes about sales."""

from alembic import op

revision = "shop_1"
down_revision = None
branch_labels = ("shop",)


def upgrade() -> None:
    op.execute("""
        create schema shop;
        create table shop.notes (
            sale  text not null,
            note  text not null,
            at    timestamptz not null default clock_timestamp()
        )
    """)
