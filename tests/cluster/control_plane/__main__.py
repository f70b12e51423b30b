"""Build every program of the control plane before the tests: `python -m cluster.control_plane`.

The first build takes 11 minutes on two cores and up to 12 GB for the caches of Go. Later calls find all in the cache.
"""

import sys

from cluster.control_plane.binaries import BuildFailed
from cluster.control_plane.plane import build


def main() -> int:
    try:
        build(kube_state_metrics=True)
    except BuildFailed as failed:
        print(failed, file=sys.stderr)  # noqa: T201  a message for the user
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
