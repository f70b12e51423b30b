"""The memory limit of the pod, compared with the budgets and with what the programs need beside them."""

from pathlib import Path
from typing import Any

import yaml

from consumer.settings import MIB, ConsumerSettings
from core.rendition_presets import PresetFile
from harness.consumer_memory import needed_bytes

COMPONENT = Path(__file__).parents[3] / "k8s/components/renditions/kustomization.yaml"
MANIFEST = Path(__file__).parents[3] / "k8s/base/consumer.yaml"


def defaults() -> ConsumerSettings:
    """The settings that the manifest has: consumer.env changes none."""
    fields = ConsumerSettings.model_fields.items()
    return ConsumerSettings.model_construct(
        **{name: field.default for name, field in fields if not field.is_required()}
    )


def test_the_limit_of_the_pod_holds_the_budgets_and_the_processes() -> None:
    """An out-of-memory kill would take the whole container, with all images in process."""
    pods: list[dict[str, Any]] = [
        each for each in yaml.safe_load_all(MANIFEST.read_text()) if each["kind"] == "Deployment"
    ]
    (container,) = pods[0]["spec"]["template"]["spec"]["containers"]
    limit = container["resources"]["limits"]["memory"]
    assert limit == "1Gi"
    assert needed_bytes(defaults()) <= 1_024 * MIB
    assert not (MANIFEST.parent / "consumer.env").read_text().splitlines()[2:]


def test_the_limit_with_renditions_holds_them_too() -> None:
    """The component for presets raises the limit."""
    component = yaml.safe_load(COMPONENT.read_text())
    patches = [yaml.safe_load(each["patch"]) for each in component["patches"]]
    memory = {
        operation["path"].rpartition("resources/")[2]: operation["value"]
        for operations in patches
        for operation in operations
        if "resources" in operation["path"]
    }
    assert memory == {"requests/memory": "1088Mi", "limits/memory": "1088Mi"}
    table = {"longest_side": 256, "format": "WEBP"}
    presets = PresetFile.model_validate({"presets": {"thumbnail": table}})
    settings = defaults().model_copy(update={"renditions_file": presets})
    assert 1_024 * MIB < needed_bytes(settings) <= 1_088 * MIB


def test_a_larger_budget_does_not_fit() -> None:
    """The budget is not much below what fits."""
    settings = defaults().model_copy(update={"decode_budget_bytes": 696 * MIB})
    assert needed_bytes(settings) > 1_024 * MIB
