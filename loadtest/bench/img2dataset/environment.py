"""img2dataset's virtual environment: its requirements contradict ours, and nobody should have to install it by hand."""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from loadtest.bench.system.process import BenchFailed
from loadtest.tool_cache import tool_cache

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
VERSION = "1.47.0"
_INSTALL_S = 900


def environment() -> Path:
    """The environment's folder; made on first use, of about 800 MB. Raises BenchFailed with one line."""
    # The requirements' hash in its name makes a new one where they change.
    stamp = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:8]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = tool_cache() / f"img2dataset-{VERSION}-{stamp}-python{python}"
    if not command(folder).exists():
        shutil.rmtree(folder, ignore_errors=True)
        sys.stdout.write(f"installing img2dataset {VERSION} into {folder} …\n")
        sys.stdout.flush()
        _install(folder)
    return folder


def command(folder: Path) -> Path:
    """The `img2dataset` command. It is there only when all was installed."""
    return folder / "bin" / "img2dataset"


def interpreter(folder: Path) -> Path:
    return folder / "bin" / "python"


def _install(folder: Path) -> None:
    venv.create(folder)
    # Our own pip, pointed at it: a pip of its own would take longer to make than all the rest.
    pip = [sys.executable, "-m", "pip", "--python", str(interpreter(folder)), "install", "--quiet"]
    arguments = ["--disable-pip-version-check", "--requirement", str(REQUIREMENTS)]
    installed = subprocess.run(  # noqa: S603  our own interpreter
        [*pip, *arguments], capture_output=True, text=True, timeout=_INSTALL_S, check=False
    )
    if installed.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        said = installed.stderr.strip().splitlines() or ["pip said nothing"]
        raise BenchFailed(
            f"no comparison without img2dataset {VERSION}, which pip could not install: {said[-1]}"
        )
