"""Builds every program of the control plane, so that no test's time limit covers it: `python -m cluster.control_plane`.

The first time takes 11 minutes on two cores, and up to 12 GB for Go's caches; afterwards nothing is left to do.
"""

import sys

from cluster.control_plane.binaries import BuildFailed
from cluster.control_plane.plane import build


def main() -> int:
    try:
        build(kube_state_metrics=True)
    except BuildFailed as failed:
        print(failed, file=sys.stderr)  # noqa: T201  what is missing is for a person
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
