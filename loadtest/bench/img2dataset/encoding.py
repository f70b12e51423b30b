"""What img2dataset's encoding costs by itself, so that it can be taken off."""

import json
import subprocess
from pathlib import Path

from loadtest.bench.img2dataset import environment
from loadtest.bench.photographs.collection import Kind, photographs
from loadtest.bench.system.process import BenchFailed

_CODEC = Path(__file__).parent / "codec.py"
_LONGEST_S = 300


def microseconds(kind: Kind) -> float:
    """CPU a picture, over all photographs of a kind. Raises BenchFailed."""
    python = environment.interpreter(environment.environment())
    done = subprocess.run(  # noqa: S603  our script in the bench's environment
        [str(python), str(_CODEC), str(photographs(kind))],
        capture_output=True,
        text=True,
        timeout=_LONGEST_S,
        check=False,
    )
    if done.returncode:
        raise BenchFailed(f"img2dataset's codec: {done.stderr.strip()[-500:]}")
    cost: float = json.loads(done.stdout)["encode"]
    return cost
