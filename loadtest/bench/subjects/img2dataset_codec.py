"""Measure what img2dataset's encoding costs alone. Runs by its path, in the environment of img2dataset.

    <environment>/bin/python loadtest/bench/subjects/img2dataset_codec.py FOLDER

The last line is JSON: {"decode": …, "encode": …}, each in microseconds of CPU per image. The calls are those of
img2dataset: `cv2.imdecode`, and `cv2.imencode` to JPEG at its default quality of 95, on one thread.
"""

import importlib
import json
import sys
import time
from pathlib import Path

_QUALITY = 95


def main() -> None:
    # Imported by name, because neither is installed in the environment that mypy checks.
    cv2, numpy = (importlib.import_module(name) for name in ("cv2", "numpy"))
    cv2.setNumThreads(1)
    quality = [int(cv2.IMWRITE_JPEG_QUALITY), _QUALITY]
    paths = sorted(Path(sys.argv[1]).glob("*.jpg"))
    decode = encode = 0.0
    for path in paths:
        body = numpy.frombuffer(path.read_bytes(), numpy.uint8)
        began = time.process_time()
        image = cv2.imdecode(body, cv2.IMREAD_UNCHANGED)
        decoded = time.process_time()
        cv2.imencode(".jpg", image, params=quality)[1].tobytes()
        decode += decoded - began
        encode += time.process_time() - decoded
    costs = {"decode": decode, "encode": encode}
    each = {name: seconds / len(paths) * 1e6 for name, seconds in costs.items()}
    sys.stdout.write(f"{json.dumps(each)}\n")


if __name__ == "__main__":
    main()
