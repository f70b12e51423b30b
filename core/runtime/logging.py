"""Structured logs on standard error: JSON, or coloured text for a terminal."""

import json
import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Literal

import orjson
import structlog


def configure_logs(
    level: str, format_: Literal["json", "console"], process: str, **members: int
) -> None:
    """Configure the logs of this process. Every line names the process, and has the given members."""
    always = {"process": process, **members}

    def add_members(
        _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event.update(always)
        return event

    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_to_json)
        if format_ == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            add_members,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        # One write per line. If Python is unbuffered, as in most containers, print writes the newline separately, and
        # the lines of two workers on one pipe would mix.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # Its client logs a traceback with internal addresses for each failed call. Callers log the failure themselves.
    logging.getLogger("opensearch").setLevel(logging.CRITICAL)


def _to_json(event: dict[str, Any], *, default: Callable[[Any], Any]) -> str:
    try:
        return orjson.dumps(event, default=default).decode()
    except TypeError:
        # A lone surrogate, as in the name of a file, or an integer of more than 64 bits.
        return json.dumps(event, default=default)


class LogThrottle:
    """Limits a repeated log line to one in `interval` seconds. `clock` returns seconds."""

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._next = float("-inf")

    def allows(self) -> bool:
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + self._interval
        return True
