"""libwebp fails alike for missing memory and for damage."""

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA is Linux's")

SIZE = (4_000, 3_000)
_PROGRAM = """
import resource, sys
from pathlib import Path
from consumer.imaging.inspection import examine, probe
from consumer.imaging.policy import ImagePolicy
body, policy = Path(sys.argv[1]).read_bytes(), ImagePolicy()
probed = probe(body, policy)
data = next(line for line in open("/proc/self/status") if line.startswith("VmData"))
limit = (int(data.split()[1]) << 10) + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    examine(body, policy, probed)
    print("examined")
except Exception as error:
    print(type(error).__name__)
"""


def image_with_alpha() -> bytes:
    out = BytesIO()
    gray = Image.linear_gradient("L").resize(SIZE)
    Image.merge("RGBA", [gray] * 4).save(out, "WEBP", method=2)
    return out.getvalue()


def examine_within(path: Path, size: int) -> str:
    """Return the name of the error of a process that may use `size` bytes more than at its start."""
    search = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(path), str(size)],
        env={**os.environ, "PYTHONPATH": search, "MALLOC_MMAP_THRESHOLD_": str(8 << 20)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("bytes_per_pixel", "outcome"), [(11, "MemoryError"), (13, "MemoryError"), (16, "examined")]
)
def test_missing_memory_is_not_damage(tmp_path: Path, bytes_per_pixel: int, outcome: str) -> None:
    """It must not be the verdict of an image which is sound."""
    path = tmp_path / "image"
    path.write_bytes(image_with_alpha())
    assert examine_within(path, bytes_per_pixel * SIZE[0] * SIZE[1]) == outcome


def test_damage_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "image"
    body = bytearray(image_with_alpha())
    at = body.index(b"VP8 ") + 8 + 10
    body[at : at + 2_000] = b"\xff" * 2_000
    path.write_bytes(body)
    assert examine_within(path, 16 * SIZE[0] * SIZE[1]) == "CorruptImage"
