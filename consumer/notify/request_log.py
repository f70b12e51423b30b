"""The log line of each request that ends. docs/runbook.md describes its members."""

import logging

import structlog

from consumer.customer_tag import customer_tag
from consumer.notify.outcome import Outcome
from consumer.run import Run

_DIGITS = 4
"""Decimal places of seconds: a tenth of a millisecond."""


class RequestLog:
    """Writes lines at level `info`. They have no customer id and no URL, whose query may be a secret."""

    def __init__(self, tag_secret: bytes) -> None:
        self._tag_secret = tag_secret
        # Bound once: the proxy of get_logger would find its logger again for each line.
        self._log = structlog.get_logger().bind()

    def ended(self, outcome: Outcome, run: Run, *, now: int) -> None:
        """Write the line of a request that this process ended at `now`, in milliseconds since the epoch."""
        if not self._log.is_enabled_for(logging.INFO):
            return
        waited = {}
        if run.pending_since:
            waited["request_seconds"] = max(0, now - run.pending_since) / 1000
        detail = {"detail": run.operator_detail} if run.operator_detail else {}
        self._log.info(
            "request ended",
            **self._members(outcome),
            **detail,
            attempts=run.attempts,
            **waited,
            step_seconds={name: round(each, _DIGITS) for name, each in run.step_seconds.items()},
        )

    def notified_again(self, outcome: Outcome) -> None:
        """Write the line of a request that another process ended. That one may have died before its own line."""
        self._log.info("request notified again", **self._members(outcome))

    def _members(self, outcome: Outcome) -> dict[str, str | int]:
        return {
            "request_id": outcome.request_id,
            "customer_tag": customer_tag(self._tag_secret, outcome.customer_id),
            "state": outcome.state,
            "failure_code": outcome.failure_code,
            "revision": outcome.revision,
        }
