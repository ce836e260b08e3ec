"""The command line: serve, look, decide."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from domain.errors import AmendsError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def up(
    port: Annotated[int, typer.Option(help="Where to serve; 0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Which address to serve on.")] = "127.0.0.1",
) -> None:
    """Start the database if need be, migrate, and serve API and worker."""
    from app.main import serve
    from app.settings import read_settings

    serve(read_settings(), host, port)


@app.command()
def db_url() -> None:
    """Print the URL of the database in use."""
    from app.main import embedded_postgres
    from app.settings import read_settings

    settings = read_settings()
    if settings.database_url is not None:
        print(settings.database_url)
        return
    embedded = embedded_postgres(settings)
    if not embedded.answers():
        print("The embedded Postgres was started for this; the next server that stops will stop it.", file=sys.stderr)
    print(embedded.start())


def main() -> None:
    """Run a command; our own errors are told in words, without a traceback."""
    try:
        app()
    except AmendsError as error:
        print(f"{error}", file=sys.stderr)
        raise SystemExit(1) from None
