"""A page of this folder that is generated: written by `make`, and checked for freshness by `make check`."""

import argparse
import sys
from pathlib import Path


def write_or_check(path: Path, content: str, target: str) -> int:
    """Write it, or with --check only say whether it is stale; returns the exit status.

    `target` is that of the Makefile which writes it.
    """
    parser = argparse.ArgumentParser(description=f"Generate docs/{path.name}.")
    parser.add_argument("--check", action="store_true", help="only say whether it is stale")
    if not parser.parse_args().check:
        path.write_text(content)
        return 0
    if not path.exists() or path.read_text() != content:
        sys.stderr.write(f"docs/{path.name} is stale; run 'make {target}'\n")
        return 1
    return 0
