"""MiniStack as a child: `python -m cli.local.emulator PORT`, in embedded_aws.environment(PORT)."""

import gc
import signal
import sys

import uvicorn
from ministack import app as gateway

from cli.local.embedded_aws import HOST

# A long poll that nobody awaits any more must not hold up the end of the process.
SHUTDOWN_TIMEOUT_S = 1


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM. After kill -9, MiniStack's own entry point would leave a pid file.

    Not on Hypercorn, as that entry point does: its HTTP in Python was a third of the emulator's time.
    """
    # uvicorn raises the signal again once it has ended well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # All rows and objects stay in memory. To look through millions of them for garbage takes longer than
    # a call may.
    gc.set_threshold(20_000, 50, 1_000_000)
    uvicorn.run(
        # Looked up now, so that the test suite can put its recorder around it.
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
