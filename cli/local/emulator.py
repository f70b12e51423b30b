"""Run MiniStack: `python -m cli.local.emulator PORT`, with the variables of embedded_aws.environment(PORT)."""

import gc
import signal
import sys

import uvicorn
from ministack import app as gateway

from cli.local.embedded_aws import HOST

# An abandoned long poll must not delay the end of the process.
SHUTDOWN_TIMEOUT_S = 1


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM.

    MiniStack's own entry point would leave a pid file after SIGKILL, and it uses Hypercorn, whose HTTP parser in
    Python took a third of the emulator's CPU time.
    """
    # uvicorn raises the signal again after its shutdown.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # All rows and objects stay in memory. A full garbage collection over millions of them takes longer than a call
    # may take.
    gc.set_threshold(20_000, 50, 1_000_000)
    uvicorn.run(
        # Looked up here, so that the test suite can wrap it in its recorder.
        gateway.app,
        host=HOST,
        port=int(arguments[0]),
        http="httptools",
        loop="uvloop",
        log_level="error",
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
