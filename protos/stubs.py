"""Generate the Python stubs of the contract, or check that the committed ones are up to date.

python protos/stubs.py [--check]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent
PROTO = "imageservice/v1/image_service.proto"
STUBS = Path("imageservice/v1")


def generate(target: Path) -> None:
    """Write messages and services, with type stubs for both, below `target`."""
    # The generators of the type stubs are programs beside this interpreter, independent of PATH.
    scripts = Path(sys.executable).parent
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={ROOT}",
            f"--proto_path={Path(protoc.__file__).parent / '_proto'}",
            f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}",
            f"--mypy_grpc_out=quiet:{target}",
            PROTO,
        ]
    )
    if status:
        raise SystemExit(status)


def stale() -> list[str]:
    """Return the names of committed stubs that differ from the generated ones."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = sorted((Path(folder) / STUBS).glob("*_pb2*"))
        return [
            path.name
            for path in fresh
            if not (committed := ROOT / STUBS / path.name).exists()
            or committed.read_bytes() != path.read_bytes()
        ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Generate the Python stubs of the contract.")
    parser.add_argument("--check", action="store_true", help="only check which stubs are stale")
    if not parser.parse_args().check:
        generate(ROOT)
        return 0
    if names := stale():
        sys.stderr.write(f"stale stubs: {', '.join(names)}; run 'make stubs'\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
