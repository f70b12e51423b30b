"""Ctrl-C and SIGTERM end a run as its time does: with what its users measured, and a report."""

import signal

import gevent

from loadtest.users.shapes import ServiceShape

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_on_signals() -> None:
    """Locust itself has no handler while a shape runs headless, and would leave its workers alone.

    The second signal ends the process at once. What is ignored, as Ctrl-C is for a shell's background job, stays so.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            gevent.signal_handler(number, _interrupt)


def _interrupt() -> None:
    ServiceShape.interrupted = True
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
