"""checkov and hadolint find no fault in the manifests and the Dockerfile, and do find a planted one."""

from pathlib import Path

import pytest

from cluster.manifests import linters
from cluster.manifests.linters import SKIPPED, SKIPPED_LOCALLY
from cluster.manifests.overlays import REMOVED, ROOT, WITH_SEARCH, Object, plant

SERVER = "Deployment/imageservice-server"
CONSUMER = "Deployment/imageservice-consumer"
EXPORTER = "Deployment/imageservice-queue-exporter"
RECONCILE = "CronJob/imageservice-reconcile"
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"
JOB = f"spec.jobTemplate.{POD}"

# Violations of pod rights and resources, and the checks that must find them. They are spread over the pods.
VIOLATIONS = [
    ("CKV_K8S_19", SERVER, f"{POD}.hostNetwork", True),
    ("CKV_K8S_40", SERVER, f"{POD}.securityContext.runAsUser", 0),
    ("CKV_K8S_31", SERVER, f"{POD}.securityContext.seccompProfile", REMOVED),
    ("CKV_K8S_10", SERVER, f"{CONTAINER}.resources.requests.cpu", REMOVED),
    ("CKV_K8S_20", CONSUMER, f"{CONTAINER}.securityContext.allowPrivilegeEscalation", REMOVED),
    ("CKV_K8S_37", CONSUMER, f"{CONTAINER}.securityContext.capabilities", REMOVED),
    ("CKV_K8S_12", CONSUMER, f"{CONTAINER}.resources.requests.memory", REMOVED),
    ("CKV_K8S_13", EXPORTER, f"{CONTAINER}.resources.limits.memory", REMOVED),
    ("CKV_K8S_22", RECONCILE, f"{JOB}.containers.0.securityContext.readOnlyRootFilesystem", False),
    ("CKV_K8S_38", RECONCILE, f"{JOB}.automountServiceAccountToken", REMOVED),
]


@pytest.mark.parametrize("overlay", ["staging", "eks", WITH_SEARCH["eks"]])
def test_checkov_finds_no_fault(
    built: dict[str, list[Object]], overlay: str, tmp_path: Path
) -> None:
    """The overlays for AWS pass checkov."""
    assert linters.checkov(built[overlay], tmp_path, [*SKIPPED]) == []


def test_checkov_finds_no_fault_in_the_local_overlay(local: list[Object], tmp_path: Path) -> None:
    """The local overlay passes, except checks about a registry and network policies."""
    assert linters.checkov(local, tmp_path, [*SKIPPED, *SKIPPED_LOCALLY]) == []


def test_checkov_finds_violations_of_pod_rights(eks: list[Object], tmp_path: Path) -> None:
    """Root, a writable root file system, capabilities, tokens and missing resources are found for each pod."""
    for _, title, path, value in VIOLATIONS:
        plant(eks, title, path, value)
    found = linters.checkov(eks, tmp_path, [*SKIPPED])
    for code, title, _, _ in VIOLATIONS:
        kind, _, name = title.partition("/")
        assert any(f" {code} " in line and kind in line and name in line for line in found), code


def test_each_skipped_check_would_fail(local: list[Object], tmp_path: Path) -> None:
    """A skipped check that passes must not stay in the list."""
    found = " ".join(linters.checkov(local, tmp_path, []))
    skipped = {*SKIPPED, *SKIPPED_LOCALLY}
    assert {code for code in skipped if f" {code} " in found} == skipped


def test_hadolint_finds_no_fault() -> None:
    """The Dockerfile passes hadolint."""
    assert linters.hadolint(ROOT / "Dockerfile") == []


def test_hadolint_finds_a_planted_fault(tmp_path: Path) -> None:
    """A base image without a version is a fault."""
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM debian:latest\nUSER 65532\n")
    (fault,) = linters.hadolint(dockerfile)
    assert "DL3007" in fault


def test_a_missing_linter_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the linter the check fails, and the error says how to install it."""
    monkeypatch.setattr(linters, "HADOLINT", tmp_path / "hadolint")
    with pytest.raises(linters.LinterMissing, match="make verify-k8s"):
        linters.hadolint(ROOT / "Dockerfile")
