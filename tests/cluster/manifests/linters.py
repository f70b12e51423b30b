"""checkov and hadolint, with a reason for each skipped check."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from cluster.manifests.overlays import ROOT, Object

# checkov pins other versions than this project, so it has its own environment.
CHECKOV = ROOT / ".venv" / "checkov" / "bin" / "checkov"
HADOLINT = Path(sys.executable).with_name("hadolint")
_SECONDS = 100

SKIPPED = {
    "CKV_K8S_11": "a CPU limit throttles bursts while the node is idle; CPU requests already share it fairly",
    "CKV_K8S_35": "programs read settings only from the environment, and its one secret grants no access",
}
SKIPPED_LOCALLY = {
    "CKV_K8S_43": "a local image has no digest in a registry",
    "CKV_K8S_15": "the image is loaded into the node and cannot be pulled",
    "CKV2_K8S_6": "this overlay has no network policies, because the AWS emulator has a private address",
}


class LinterMissing(Exception):
    """A linter is not installed; `str()` says how to install it."""


def checkov(objects: Sequence[Object], folder: Path, skip: Sequence[str]) -> list[str]:
    """Return a line for each failed check. Writes the objects to a file in `folder`."""
    manifests = folder / "manifests.yaml"
    manifests.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    skipped = ["--skip-check", ",".join(skip)] if skip else []
    output = _run(
        CHECKOV,
        *("--file", str(manifests), "--framework", "kubernetes", "--output", "json"),
        *("--compact", "--quiet", "--skip-download", *skipped),
    )
    report = json.loads(output)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 0, "it has run no check"
    return [
        f"{each['resource']}: {each['check_id']} {each['check_name']}"
        for each in report["results"]["failed_checks"]
    ]


def hadolint(dockerfile: Path) -> list[str]:
    """Return a line for each fault of a Dockerfile."""
    output = _run(HADOLINT, "--no-color", "--format", "json", str(dockerfile))
    return [f"{each['line']}: {each['code']} {each['message']}" for each in json.loads(output)]


def _run(program: Path, *arguments: str) -> str:
    if not program.exists():
        raise LinterMissing(f"{program.name} is not installed; `make verify-k8s` installs it")
    ran = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    # Both exit with 1 if they find a fault.
    assert ran.returncode in {0, 1}, ran.stderr
    return ran.stdout
