"""Connections, sessions, URLs, roles, migrations, and what is sent again."""
