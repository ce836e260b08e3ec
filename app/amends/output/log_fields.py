"""The fields of a line of the log: when, how grave, whose, and the saga and step that it is about."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, MutableMapping
from math import isfinite
from typing import Any, Final

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.types import Processor

from app.amends.output.typed_commands import as_typed
from app.amends.security.passwords import without_secrets
from workflows.amends.engine.user_code.tasks import scope
from workflows.amends.values.printable import value_repr

Fields = MutableMapping[str, Any]

OF_RECORDS: Final = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}
"""Attributes of every record."""
OF_OTHERS: Final = frozenset(
    ("applicationID", "applicationVersion", "executorID", "operationUUID", "traceId", "color_message")
)
"""Attributes that DBOS and uvicorn give to their records."""
OF_THE_LINE: Final = ("timestamp", "level", "logger", "event", "below", "exc_info", "stack_info")
"""What is no field for a reader to look for, but the line itself and what stands below it."""
OF_SAGAS: Final = ("saga", "saga_type", "step", "attempt", "correlation")
SECRET: Final = re.compile(r"password|passwd|secret|token|api_?key", re.IGNORECASE)


def add_record(_: Any, __: str, fields: Fields) -> Fields:
    """Add when and how gravely which logger said it; the time is UTC, in milliseconds."""
    record: logging.LogRecord = fields["_record"]
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    fields["timestamp"] = f"{seconds}.{int(record.msecs):03d}Z"
    fields["level"], fields["logger"] = record.levelname, record.name
    if record.name.partition(".")[0] == "amends":
        fields["event"] = as_typed(str(fields["event"]))
    return fields


def add_user_code(_: Any, __: str, fields: Fields) -> Fields:
    """Add whose code says it, where it is code of a saga: a step's, or that of `run`."""
    mine = scope.get()
    if mine is not None:
        fields.setdefault("saga", mine.saga)
        fields.setdefault("saga_type", mine.saga_type)
        if mine.step is not None:
            fields.setdefault("step", mine.step)
    return fields


def add_extra(_: Any, __: str, fields: Fields) -> Fields:
    """Add what a call of `logging` was given as `extra`, and not what other libraries add to each of their records."""
    for name, value in vars(fields["_record"]).items():
        if name not in OF_RECORDS and name not in OF_OTHERS:
            fields.setdefault(name, value)
    return fields


def hide_secrets(_: Any, __: str, fields: Fields) -> Fields:
    """Hide passwords in texts and in fields; what is no plain value becomes text."""
    for name, value in fields.items():
        if name in ("exc_info", "stack_info") or isinstance(value, bool | int | None):
            continue
        if isinstance(value, float) and isfinite(value):  # JSON has no other ones
            continue
        text = value if isinstance(value, str) else value_repr(value)
        fields[name] = "***" if name not in OF_THE_LINE and SECRET.search(name) else without_secrets(text)
    return fields


def reader_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are not the line itself, in one order: what was given to the call, then whose it is."""
    order = [name for name in fields if name not in OF_SAGAS] + [*OF_SAGAS]
    return {name: fields[name] for name in order if name not in OF_THE_LINE and fields.get(name) is not None}


BOUND: Final[tuple[Processor, ...]] = (structlog.contextvars.merge_contextvars, add_user_code)
"""What is known where something is logged."""


def field_formatter(render: Processor) -> dict[str, Any]:
    """The arguments of a ProcessorFormatter for records of `logging` and of structlog alike."""
    return {
        "foreign_pre_chain": [add_extra, *BOUND],
        "processors": [add_record, ProcessorFormatter.remove_processors_meta, hide_secrets, render],
    }


def send_structlog_to_logging() -> None:
    """Let `structlog.get_logger()` write the same log, with its fields."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *BOUND, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
