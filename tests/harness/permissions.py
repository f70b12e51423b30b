"""The permissions of the template's roles. No emulator enforces them, so a test run checks its recorded calls."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.calls import Call

# Access key ids in a test run, and the role of each.
ROLES = {
    "server": "ServerRole",
    "consumer": "ConsumerRole",
    "operator": "OperatorRole",
    "exporter": "ExporterRole",
    "indexer": "IndexerRole",
    "scaler": "ScalerRole",
}

# IAM actions whose name differs from the API's.
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
_ACTIONS = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sns:PublishBatch": "sns:Publish",
    "s3:HeadObject": "s3:GetObject",
}
_NAMES = {
    "AWS::DynamoDB::Table": ("TableName", "arn:aws:dynamodb:*:*:table/{}"),
    "AWS::SQS::Queue": ("QueueName", "arn:aws:sqs:*:*:{}"),
    "AWS::SNS::Topic": ("TopicName", "arn:aws:sns:*:*:{}"),
    "AWS::S3::Bucket": ("BucketName", "arn:aws:s3:::{}"),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """An action on the resources that match an ARN, in which `*` matches any text; so it does in `key`.

    `key` is the leading key that a condition requires.
    """

    action: str
    resource: str
    key: str = "*"


class _TemplateLoader(yaml.SafeLoader):
    """Loads YAML with CloudFormation's short forms, such as !Ref, as their long forms."""


def _long_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        raise yaml.constructor.ConstructorError(
            None, None, f"!{suffix} of a mapping", node.start_mark
        )
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


_TemplateLoader.add_multi_constructor("!", _long_form)


def load_template(path: Path) -> dict[str, Any]:
    template: dict[str, Any] = yaml.load(path.read_bytes(), Loader=_TemplateLoader)  # noqa: S506  it is a SafeLoader
    return template


@dataclass(frozen=True, slots=True)
class Permissions:
    """The grants of each access key id."""

    grants: Mapping[str, tuple[Grant, ...]]

    @classmethod
    def parse(cls, template: Mapping[str, Any]) -> "Permissions":
        resources = template["Resources"]
        return cls(
            {
                key: tuple(_grants(resources[role]["Properties"], resources))
                for key, role in ROLES.items()
            }
        )

    def allowed(self, role: str, api: str, resource: str, key: str = "") -> bool:
        action = _ACTIONS.get(api, api)
        return any(
            grant.action == action
            and _matches(grant.resource, resource)
            and _matches(grant.key, key)
            for grant in self.grants[role]
        )

    def refused(self, calls: Iterable[Call]) -> list[Call]:
        """Return the calls that AWS would deny. A principal that is not a role may do everything."""
        return sorted(
            call
            for call in calls
            if call.principal in self.grants
            and not self.allowed(call.principal, call.api, call.resource, call.key)
        )


def _grants(role: Mapping[str, Any], resources: Mapping[str, Any]) -> Iterable[Grant]:
    if "ManagedPolicyArns" in role:
        raise ValueError("managed policies are not read here")
    for policy in role["Policies"]:
        for optional in policy["PolicyDocument"]["Statement"]:
            statement = _deployed(optional)
            if statement.keys() - {"Sid", "Condition"} != {"Effect", "Action", "Resource"}:
                raise ValueError(f"not understood: {statement}")
            key = _leading_key(statement.get("Condition"))
            if statement["Effect"] != "Allow":
                raise ValueError(f"only grants are understood: {statement}")
            for action in _listed(statement["Action"]):
                for resource in _listed(statement["Resource"]):
                    yield Grant(action, _pattern(resource, resources), key)


def _deployed(statement: Mapping[str, Any]) -> Any:
    """Return a statement with its condition met: test runs deploy all optional resources."""
    optional = statement.get("Fn::If")
    return statement if optional is None else optional[1]


def _leading_key(condition: Any) -> str:
    """Return the pattern of the leading keys that a condition allows."""
    match condition:
        case None:
            return "*"
        case {
            "ForAllValues:StringLike": {"dynamodb:LeadingKeys": [str(pattern)]},
            "Null": {"dynamodb:LeadingKeys": "false"},
        }:
            return pattern
    raise ValueError(f"not understood: {condition}")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _pattern(value: Any, resources: Mapping[str, Any]) -> str:
    """Return the ARN of a resource. Parts that are known only after a deployment become `*`."""
    match value:
        case str():
            return value
        case {"Fn::GetAtt": str(reference)}:
            return _reference(reference, resources)
        case {"Ref": str(reference)}:
            return _reference(reference, resources)
        case {"Fn::If": [str(), granted, {"Ref": "AWS::NoValue"}]}:
            # Test runs deploy all optional resources.
            return _pattern(granted, resources)
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([^}]+)\}", lambda found: _reference(found[1], resources), text)
    raise ValueError(f"not understood: {value}")


def _reference(reference: str, resources: Mapping[str, Any]) -> str:
    logical_id = reference.removesuffix(".Arn")
    if logical_id not in resources:
        return "*"
    kind = resources[logical_id]["Type"]
    if kind not in _NAMES or (reference == logical_id and kind != "AWS::SNS::Topic"):
        raise ValueError(f"not an ARN that is understood: {reference}")
    name, arn = _NAMES[kind]
    return arn.format(_pattern(resources[logical_id]["Properties"][name], resources))


def _matches(pattern: str, resource: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), resource) is not None
