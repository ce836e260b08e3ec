"""Alembic's entry: runs the migrations of all branches in one transaction, and then what is always applied anew."""

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"], version_table_schema="amends", on_version_apply=attributes["applied"]
)
with context.begin_transaction():
    context.run_migrations()
    attributes["afterwards"]()
