"""Lines of the log: passwords are hidden, and nothing in them steers a terminal or passes for another line."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Final

from app.amends.security.passwords import hidden, veil
from workflows.amends.values.printable import escaped

log = logging.getLogger("amends")

NOISY: Final = ("httpx", "httpcore", "alembic", "uvicorn")


class LogLine(logging.Formatter):
    """One line for each record; a traceback, and the text in `extra={"below": …}`, stand below it, indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's own name)
        """The line itself."""
        below = str(getattr(record, "below", ""))
        return escaped(hidden(super().formatMessage(record))) + (below and "\n" + indented(below))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """A traceback, whose errors may say anything."""
        return indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """A stack that was asked for."""
        return indented(stack_info)


def indented(text: str) -> str:
    """Lines below one of the log: none of them can be taken for one, or steers a terminal."""
    return "\n".join(f"    {escaped(line.expandtabs())}" for line in hidden(text).split("\n"))


def clean(record: logging.LogRecord) -> bool:
    """A filter for a logger whose handlers are another library's."""
    record.msg, record.args = escaped(hidden(record.getMessage())), ()
    if record.exc_info and record.exc_info[0]:
        record.exc_text = LogLine().formatException(record.exc_info)
    return True


def log_to_stderr(level: str) -> None:
    """Log everything in this process as such lines, uncaught errors included."""
    veil("stderr")
    handler = logging.StreamHandler()
    handler.setFormatter(LogLine())
    logging.basicConfig(level=level, handlers=[handler])
    logging.captureWarnings(True)
    logging.getLogger("dbos").addFilter(clean)
    logging.getLogger("psycopg.pool").setLevel("ERROR")  # the watch of the database says when that is away
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel("WARNING")
    threading.excepthook = _in_thread


def _in_thread(ended: threading.ExceptHookArgs) -> None:
    error = ended.exc_value
    name = ended.thread.name if ended.thread else "of no name"
    if error is not None:
        log.error("Thread %s ended with an error", name, exc_info=(type(error), error, error.__traceback__))
