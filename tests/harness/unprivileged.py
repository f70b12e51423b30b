"""`python -m harness.unprivileged MODULE [ARGUMENT…]`: runs a program without capabilities, as a pod does."""

import runpy
import sys

from consumer.sandbox.restrictions.privileges import drop_capabilities

if __name__ == "__main__":
    drop_capabilities()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
