"""Lines of the log: passwords are hidden, and nothing in them steers a terminal or passes for another line."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Final

from app.amends.security.passwords import hide_passwords_in_streams, without_secrets
from workflows.amends.values.printable import escaped

log = logging.getLogger("amends")

NOISY: Final = ("httpx", "httpcore", "alembic", "uvicorn")


class LogLineFormatter(logging.Formatter):
    """One line for each record; a traceback, and the text in `extra={"below": …}`, stand below it, indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's own name)
        """The line itself."""
        below = str(getattr(record, "below", ""))
        return escaped(without_secrets(super().formatMessage(record))) + (below and "\n" + indented_lines(below))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """A traceback, whose errors may say anything."""
        return indented_lines(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """A stack that was asked for."""
        return indented_lines(stack_info)


def indented_lines(text: str) -> str:
    """Lines below one of the log: none of them can be taken for one, or steers a terminal."""
    return "\n".join(f"    {escaped(line.expandtabs())}" for line in without_secrets(text).split("\n"))


def escape_record(record: logging.LogRecord) -> bool:
    """A filter for a logger whose handlers are another library's."""
    record.msg, record.args = escaped(without_secrets(record.getMessage())), ()
    if record.exc_info and record.exc_info[0]:
        record.exc_text = LogLineFormatter().formatException(record.exc_info)
    return True


def log_to_stderr(level: str) -> None:
    """Log everything in this process as such lines, uncaught errors included."""
    hide_passwords_in_streams("stderr")
    handler = logging.StreamHandler()
    handler.setFormatter(LogLineFormatter())
    logging.basicConfig(level=level, handlers=[handler])
    logging.captureWarnings(True)
    logging.getLogger("dbos").addFilter(escape_record)
    logging.getLogger("psycopg.pool").setLevel("ERROR")  # the watch of the database says when that is away
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel("WARNING")
    threading.excepthook = _in_thread


def _in_thread(ended: threading.ExceptHookArgs) -> None:
    error = ended.exc_value
    name = ended.thread.name if ended.thread else "of no name"
    if error is not None:
        log.error("Thread %s ended with an error", name, exc_info=(type(error), error, error.__traceback__))
