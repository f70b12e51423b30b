"""checkov and hadolint, each with a reason beside what it is told to leave out."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from cluster.manifests.overlays import ROOT, Object

# checkov pins its own versions of half of what we use, so it has an environment of its own.
CHECKOV = ROOT / ".venv" / "checkov" / "bin" / "checkov"
HADOLINT = Path(sys.executable).with_name("hadolint")
_SECONDS = 100

LEFT_OUT = {
    "CKV_K8S_11": "a CPU limit throttles bursts while the node idles; requests share the CPU fairly without one",
    "CKV_K8S_35": "settings are read from the environment alone, and the one secret in it opens nothing",
}
LEFT_OUT_LOCALLY = {
    "CKV_K8S_43": "an image that was built here has no digest that a registry knows",
    "CKV_K8S_15": "it is loaded into the node, and there is nowhere to pull it from",
    "CKV2_K8S_6": "no network policy is in this overlay: AWS is an emulator at a private address",
}


class LinterMissing(Exception):
    """A linter is not installed; `str()` says what installs it."""


def checkov(objects: Sequence[Object], folder: Path, left_out: Sequence[str]) -> list[str]:
    """Return a line for each check that fails; `folder` takes a file."""
    manifests = folder / "manifests.yaml"
    manifests.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    skipped = ["--skip-check", ",".join(left_out)] if left_out else []
    told = _run(
        CHECKOV,
        *("--file", str(manifests), "--framework", "kubernetes", "--output", "json"),
        *("--compact", "--quiet", "--skip-download", *skipped),
    )
    report = json.loads(told)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 0, "it has checked nothing"
    return [
        f"{each['resource']}: {each['check_id']} {each['check_name']}"
        for each in report["results"]["failed_checks"]
    ]


def hadolint(dockerfile: Path) -> list[str]:
    """Return a line for each fault of a Dockerfile."""
    told = _run(HADOLINT, "--no-color", "--format", "json", str(dockerfile))
    return [f"{each['line']}: {each['code']} {each['message']}" for each in json.loads(told)]


def _run(program: Path, *arguments: str) -> str:
    if not program.exists():
        raise LinterMissing(f"{program.name} is not installed; `make verify-k8s` does so")
    ran = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    # 1 is what both say to faults.
    assert ran.returncode in {0, 1}, ran.stderr
    return ran.stdout
