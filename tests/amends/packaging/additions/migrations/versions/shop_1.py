"""Reviews of members."""

from alembic import op

revision = "shop_1"
down_revision = None
branch_labels = ("shop",)


def upgrade() -> None:
    op.execute("create schema shop")
    op.execute("create table shop.reviews (id bigint generated always as identity primary key, member text, word text)")
