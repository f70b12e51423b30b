"""A stack update from the last release replaces no resource.

tests/vectors/released-stack.json holds the resources of the last release's template: type, condition, and the
properties whose change makes CloudFormation replace the resource. To renew it after a release, with T as that
release's core/stack.yaml:

    PYTHONPATH=tests .venv/bin/python tests/unit/core/test_stack_update.py T > tests/vectors/released-stack.json
"""

import copy
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from cli.local.stack import TEMPLATE
from harness.permissions import load_template

RELEASED = Path(__file__).parents[2] / "vectors" / "released-stack.json"


def identities(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what must not change of each resource, by logical id."""
    return {
        name: {
            "type": resource["Type"],
            "condition": resource.get("Condition"),
            "replaced_by": dict(_replacing(resource)),
        }
        for name, resource in template["Resources"].items()
    }


def _replacing(resource: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the properties of a resource whose change requires replacement, by their JSON pointers.

    CloudFormation declares them in the schema of each resource type, which cfn-lint bundles. A change of a property in
    createOnlyProperties always replaces the resource, one in conditionalCreateOnlyProperties may replace it:
    https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html
    """
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource["Type"]).schema
    for kind in ("createOnlyProperties", "conditionalCreateOnlyProperties"):
        for pointer in schema.get(kind) or ():
            value = resource.get("Properties", {})
            for key in pointer.removeprefix("/properties/").split("/"):
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None:
                yield pointer, value


def replaced(released: dict[str, dict[str, Any]], template: dict[str, Any]) -> set[str]:
    """Return the logical ids of the released resources that an update with `template` would remove or replace."""
    current = identities(template)
    return {name for name, identity in released.items() if current.get(name) != identity}


@pytest.fixture(scope="module")
def released() -> dict[str, dict[str, Any]]:
    resources: dict[str, dict[str, Any]] = json.loads(RELEASED.read_text())
    return resources


@pytest.fixture
def template() -> dict[str, Any]:
    return load_template(TEMPLATE)


def test_an_update_from_the_last_release_replaces_nothing(
    released: dict[str, dict[str, Any]], template: dict[str, Any]
) -> None:
    """Queues, tables and the bucket keep their contents, roles and the topic keep their ARNs."""
    assert replaced(released, template) == set()


@pytest.mark.parametrize(
    ("resource", "path", "value"),
    [
        ("UndeliveredQueue", ["Properties", "QueueName"], "imageservice-dlq"),
        ("DeadLetterQueue", ["Properties", "FifoQueue"], True),
        ("RequestsTable", ["Properties", "KeySchema"], []),
        ("ImagesTable", ["Properties", "TableName"], "images"),
        ("Bucket", ["Properties", "BucketName"], "images"),
        ("Topic", ["Properties", "TopicName"], "outcomes"),
        ("ServerRole", ["Properties", "RoleName"], "server"),
        ("CustomerTagKey", ["Properties", "Name"], "key"),
        ("UndeliveredAlarm", ["Properties", "AlarmName"], "dlq"),
        ("SearchQueue", ["Condition"], "HasSearchDomain"),
        ("Queue", ["Type"], "AWS::SNS::Topic"),
    ],
)
def test_a_replacement_is_noticed(
    released: dict[str, dict[str, Any]],
    template: dict[str, Any],
    resource: str,
    path: list[str],
    value: object,
) -> None:
    """A new physical name, key schema, type or condition replaces the resource."""
    changed = copy.deepcopy(template)
    *parents, last = path
    target = changed["Resources"][resource]
    for key in parents:
        target = target[key]
    target[last] = value
    assert replaced(released, changed) == {resource}


def test_a_removed_resource_is_noticed(
    released: dict[str, dict[str, Any]], template: dict[str, Any]
) -> None:
    """A renamed logical id removes the old resource and creates another one."""
    template["Resources"]["Dlq"] = template["Resources"].pop("UndeliveredQueue")
    assert replaced(released, template) == {"UndeliveredQueue"}


def test_other_changes_replace_nothing(
    released: dict[str, dict[str, Any]], template: dict[str, Any]
) -> None:
    """A new retention period is an update in place, and a new resource replaces none."""
    template["Resources"]["Queue"]["Properties"]["MessageRetentionPeriod"] = 60
    template["Resources"]["Other"] = {"Type": "AWS::SNS::Topic"}
    assert replaced(released, template) == set()


if __name__ == "__main__":
    json.dump(identities(load_template(Path(sys.argv[1]))), sys.stdout, indent=1)
    sys.stdout.write("\n")
