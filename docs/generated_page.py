"""A generated page of this folder. `make` writes it, and `make check` checks that it is up to date."""

import argparse
import sys
from pathlib import Path


def write_or_check(path: Path, content: str, target: str) -> int:
    """Write the page, or with --check only compare it. Returns the exit status.

    `target` is the Makefile target that writes the page.
    """
    parser = argparse.ArgumentParser(description=f"Generate docs/{path.name}.")
    parser.add_argument(
        "--check", action="store_true", help="only check whether the page is up to date"
    )
    if not parser.parse_args().check:
        path.write_text(content)
        return 0
    if not path.exists() or path.read_text() != content:
        sys.stderr.write(f"docs/{path.name} is stale; run 'make {target}'\n")
        return 1
    return 0
