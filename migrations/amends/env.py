"""Alembic's entry: runs the migrations of both branches on the connection that it is given, in one transaction."""

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"], version_table_schema="amends", on_version_apply=attributes["applied"]
)
with context.begin_transaction():
    context.run_migrations()
    attributes["afterwards"]()
