"""What img2dataset's encoding of pictures costs by itself. Runs in img2dataset's environment, by its path.

    <environment>/bin/python loadtest/bench/img2dataset/codec.py FOLDER

The last line is JSON: {"decode": …, "encode": …}, each in microseconds of CPU a picture. Both are the very calls that
img2dataset makes (`cv2.imdecode`, `cv2.imencode` to JPEG at its default quality of 95, on one thread).
"""

import importlib
import json
import sys
import time
from pathlib import Path

_QUALITY = 95


def main() -> None:
    # By name, because neither is installed where the project's types are checked.
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
