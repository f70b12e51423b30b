"""`python -m harness.read_environment PID`: prints the environment of another process, or the error."""

import sys
from pathlib import Path

if __name__ == "__main__":
    try:
        sys.stdout.write(Path(f"/proc/{sys.argv[1]}/environ").read_text(encoding="utf-8"))
    except OSError as error:
        sys.stdout.write(type(error).__name__)
