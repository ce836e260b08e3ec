"""The lines of the log: without passwords, and without what somebody wrote to be taken for something else."""

from __future__ import annotations

import logging

import pytest

from app.log_lines import LogLine, clean
from app.passwords import hidden


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("at postgresql://u:geheim@h:5432/x now", "at postgresql://u:***@h:5432/x now"),
        ("postgresql+psycopg://u:ge:hei@m/@h/x", "postgresql+psycopg://u:***@h/x"),
        ("(postgres://u@h/x?password=geheim&sslmode=require)", "(postgres://u@h/x?password=***&sslmode=require)"),
        ("postgres://h/x?sslmode=require&sslpassword=geheim", "postgres://h/x?sslmode=require&sslpassword=***"),
        ("host=h user=u password=geheim dbname=x", "host=h user=u password=*** dbname=x"),
        ("postgresql://u@h:5432/x", "postgresql://u@h:5432/x"),
        ("http://127.0.0.1:8000/a@b", "http://127.0.0.1:8000/a@b"),
    ],
)
def test_a_password_is_hidden_and_nothing_else(said: str, shown: str) -> None:
    assert hidden(said) == shown


def record(text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("dbos", logging.INFO, "x.py", 1, text, args, None)


def test_a_log_hides_what_its_arguments_and_tracebacks_hold() -> None:
    made = record("with %s", "postgresql://u:geheim@h/x")
    try:
        raise ValueError("postgresql://h/x?password=geheim")
    except ValueError as error:
        made.exc_info = (ValueError, error, error.__traceback__)
    assert "ValueError: postgresql://h/x?password=***" in LogLine().format(made)
    assert "geheim" not in LogLine().format(made).partition("Traceback")[0]


def test_a_loggers_own_handlers_are_given_it_hidden() -> None:
    made = record("with %s", "postgresql://u:geheim@h/x")
    assert clean(made)
    assert made.getMessage() == "with postgresql://u:***@h/x"
