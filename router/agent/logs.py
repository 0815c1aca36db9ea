"""Log lines: a constant phrase and fields; JSON, or key=value on a terminal."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import time
from typing import Any, Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


_ENCODER: Final = json.JSONEncoder(default=str)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _value(value: object) -> str:
    """Return a field's value; quoted where it could be taken for two, or for a line of its own."""
    text = str(value)
    is_plain = text and text.isprintable() and not any(each in text for each in ' "=')
    return text if is_plain else _ENCODER.encode(text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line; times are UTC (RFC 3339)."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line)


class ConsoleFormatter(logging.Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = " ".join(f"{key}={_value(value)}" for key, value in _fields(record).items())
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname:<7} {record.getMessage()}"
        line = f"{line}  {fields}".rstrip()
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


_HELD_BACK: Final = 1000
"""Lines, at most."""


def set_up_logs(level: str, style: str, *, hold_back: bool = False) -> None:
    """Send logs to standard error; `style` is 'json', 'console' or 'auto'.

    ``hold_back``: lines below a warning wait, with the time they were said at, until somebody
    flushes the root logger's handlers, or a warning comes, or the process ends.
    """
    # What no line of ours tells costs a system call and a walk up the stack for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # The walk has no other switch; "How to optimize logging" in the library's documentation.
    logging._srcfile = None
    handler = logging.StreamHandler(sys.stderr)
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    handler.setFormatter(ConsoleFormatter() if console else JsonFormatter())
    outer: logging.Handler = handler
    if hold_back:
        outer = logging.handlers.MemoryHandler(_HELD_BACK, logging.WARNING, handler)
    logging.basicConfig(level=level.upper(), handlers=[outer], force=True)
