"""Other people's linters find nothing but what there is a reason for."""

from pathlib import Path

import pytest

from cluster.manifests import linters
from cluster.manifests.linters import LEFT_OUT, LEFT_OUT_LOCALLY
from cluster.manifests.overlays import ROOT, WITH_SEARCH, Object
from cluster.manifests.plants import plant


@pytest.mark.parametrize("overlay", ["staging", "eks", WITH_SEARCH["eks"]])
def test_checkov_is_content(built: dict[str, list[Object]], overlay: str, tmp_path: Path) -> None:
    """checkov passes what is for AWS."""
    assert linters.checkov(built[overlay], tmp_path, [*LEFT_OUT]) == []


def test_checkov_is_content_with_this_machine(local: list[Object], tmp_path: Path) -> None:
    """checkov passes what is for one machine, whose image comes from no registry."""
    assert linters.checkov(local, tmp_path, [*LEFT_OUT, *LEFT_OUT_LOCALLY]) == []


def test_each_exception_is_needed(local: list[Object], tmp_path: Path) -> None:
    """What is left out would be told otherwise, and so is a planted fault."""
    plant(local, "Deployment/imageservice-server", "spec.template.spec.hostNetwork", True)
    told = " ".join(linters.checkov(local, tmp_path, []))
    planted = "CKV_K8S_19"
    assert {code for code in [*LEFT_OUT, *LEFT_OUT_LOCALLY, planted] if f" {code} " in told} == {
        *LEFT_OUT,
        *LEFT_OUT_LOCALLY,
        planted,
    }


def test_hadolint_is_content() -> None:
    """hadolint passes the Dockerfile."""
    assert linters.hadolint(ROOT / "Dockerfile") == []


def test_hadolint_sees_a_fault(tmp_path: Path) -> None:
    """A base without a version is told."""
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM debian:latest\nUSER 65532\n")
    (fault,) = linters.hadolint(dockerfile)
    assert "DL3007" in fault


def test_a_missing_linter_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a linter nothing passes: the reader learns how to get it."""
    monkeypatch.setattr(linters, "HADOLINT", tmp_path / "hadolint")
    with pytest.raises(linters.LinterMissing, match="make verify-k8s"):
        linters.hadolint(ROOT / "Dockerfile")
