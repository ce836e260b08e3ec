"""The log of a process: passwords are hidden, and nothing in it steers a terminal or passes for another line."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any, Final, Literal

from structlog.stdlib import ProcessorFormatter
from structlog.types import Processor

from app.amends.output.log_fields import field_formatter, send_structlog_to_logging
from app.amends.output.log_rendering import json_line, plain_line, terminal_line
from app.amends.security.passwords import PasswordHidingStream, hide_passwords_in_streams

log = logging.getLogger("amends")

LogFormat = Literal["text", "json"]
NOISY: Final = ("httpx", "httpcore", "alembic", "uvicorn")


class LogLineFormatter(ProcessorFormatter):
    """One line for each record; a traceback, and the text in `extra={"below": …}`, stand below it, indented.

    Fields are what `extra` and `structlog.contextvars` hold, and whose code of a saga it is that logs.
    """

    def __init__(self, render: Processor = plain_line) -> None:
        super().__init__(**field_formatter(render))


def log_to_stderr(level: str, format: LogFormat = "text") -> None:
    """Log everything in this process as such lines, uncaught errors included; as JSON if that is asked for."""
    hide_passwords_in_streams("stderr")
    logging.basicConfig(level=level, handlers=[_handler(format)])
    logging.captureWarnings(True)
    send_structlog_to_logging()
    logging.getLogger("dbos").addHandler(logging.NullHandler())  # else DBOS adds a handler with lines of its own
    if level != "DEBUG":
        logging.getLogger("dbos").setLevel("WARNING")
    logging.getLogger("psycopg.pool").setLevel("ERROR")  # the watch of the database says when that is away
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel("WARNING")
    threading.excepthook = _in_thread


def _handler(format: LogFormat) -> logging.StreamHandler[Any]:
    """A handler on standard error. JSON hides secrets before it is made: hidden in its text, it might be none."""
    stream: Any = sys.stderr
    if format == "json" and isinstance(stream, PasswordHidingStream):
        stream = stream.inner
    handler = logging.StreamHandler(stream)
    text = terminal_line if stream.isatty() else plain_line
    handler.setFormatter(LogLineFormatter(json_line if format == "json" else text))
    return handler


def _in_thread(ended: threading.ExceptHookArgs) -> None:
    error = ended.exc_value
    name = ended.thread.name if ended.thread else "of no name"
    if error is not None:
        log.error("Thread %s ended with an error", name, exc_info=(type(error), error, error.__traceback__))
