"""What MiniStack's CloudFormation leaves out of our template, put in through its own AWS APIs.

MiniStack 1.4.21 is the newest that installs beside our aiobotocore. It drops a queue's redrive
policy, a bucket's access block and lifecycle, and a table's expiry and backups without a word, and
fails the whole stack at CloudFront's access control and headers policy. All of these exist behind
its AWS APIs. The gap is filled here, in the emulator, rather than by a second template or by calls
after the deployment, so that the laptop deploys what AWS deploys. This reaches into MiniStack's
internals, hence its exact version in pyproject.toml; tests/integration/test_stack.py looks at each
property through the public APIs.
"""

import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import botocore.session
from botocore.model import ListShape, Shape, StructureShape
from botocore.serialize import create_serializer
from ministack.services import cloudfront, dynamodb, s3, sqs
from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]
Created = tuple[str, Properties]
Create = Callable[[str, Properties, str], Created]
Answer = tuple[int, Properties, bytes]


class ProvisioningRefused(Exception):
    """The emulator's API refused what the template asks for."""


def extend() -> None:
    """Teach MiniStack's CloudFormation the rest of our template. Call once, before it serves."""
    handlers = provisioners._RESOURCE_HANDLERS  # noqa: SLF001  MiniStack has no public registry
    for kind, complete in (
        ("AWS::SQS::Queue", _complete_queue),
        ("AWS::S3::Bucket", _complete_bucket),
        ("AWS::DynamoDB::Table", _complete_table),
    ):
        handlers[kind]["create"] = _completed(handlers[kind]["create"], complete)
    handlers["AWS::CloudFront::Distribution"]["create"] = _create_distribution
    for kind, create, stored in (
        ("OriginAccessControl", _create_access_control, cloudfront._oacs),  # noqa: SLF001  as above
        (
            "ResponseHeadersPolicy",
            _create_headers_policy,
            cloudfront._response_headers_policies,  # noqa: SLF001  as above
        ),
    ):
        handlers[f"AWS::CloudFront::{kind}"] = {"create": create, "delete": _delete_from(stored)}


def _completed(create: Create, complete: Callable[[str, Properties], None]) -> Create:
    def create_and_complete(logical_id: str, properties: Properties, stack: str) -> Created:
        physical_id, attributes = create(logical_id, properties, stack)
        complete(physical_id, properties)
        return physical_id, attributes

    return create_and_complete


def _delete_from(stored: Any) -> Callable[[str, Properties], None]:
    def delete(physical_id: str, _properties: Properties) -> None:
        stored.pop(physical_id, None)

    return delete


def _complete_queue(url: str, properties: Properties) -> None:
    attributes = sqs._queues[url]["attributes"]  # noqa: SLF001  as above
    if policy := properties.get("RedrivePolicy"):
        attributes["RedrivePolicy"] = json.dumps(policy)
    if properties.get("SqsManagedSseEnabled"):
        attributes["SqsManagedSseEnabled"] = "true"


def _complete_bucket(name: str, properties: Properties) -> None:
    if block := properties.get("PublicAccessBlockConfiguration"):
        body = _xml("s3", "PutPublicAccessBlock", {"PublicAccessBlockConfiguration": block})
        _accepted(s3._put_public_access_block(name, body))  # noqa: SLF001  as above
    if lifecycle := properties.get("LifecycleConfiguration"):
        rules = [_renamed(rule, "Id", "ID") for rule in lifecycle["Rules"]]
        asked = {"LifecycleConfiguration": {"Rules": rules}}
        body = _xml("s3", "PutBucketLifecycleConfiguration", asked)
        _accepted(s3._put_bucket_lifecycle(name, body))  # noqa: SLF001  as above


def _complete_table(name: str, properties: Properties) -> None:
    for key, update in (
        ("TimeToLiveSpecification", dynamodb._update_ttl),  # noqa: SLF001  as above
        ("PointInTimeRecoverySpecification", dynamodb._update_continuous_backups),  # noqa: SLF001
    ):
        if key in properties:
            _accepted(update({"TableName": name, key: properties[key]}))


def _create_access_control(_logical_id: str, properties: Properties, _stack: str) -> Created:
    body = _xml("cloudfront", "CreateOriginAccessControl", properties)
    created = _identifier(cloudfront._create_oac({}, body))  # noqa: SLF001  as above
    return created, {"Id": created}


def _create_headers_policy(_logical_id: str, properties: Properties, _stack: str) -> Created:
    body = _xml("cloudfront", "CreateResponseHeadersPolicy", properties)
    answer = cloudfront._policy_create(  # noqa: SLF001  as above
        cloudfront._response_headers_policies,  # noqa: SLF001  as above
        cloudfront._RHP_SPEC,  # noqa: SLF001  as above
        body,
    )
    created = _identifier(answer)
    return created, {"Id": created}


def _create_distribution(logical_id: str, properties: Properties, stack: str) -> Created:
    """Create through the API, as MiniStack's own handler keeps no configuration to read back."""
    asked = _renamed(properties["DistributionConfig"], "IPV6Enabled", "IsIPV6Enabled")
    asked["CallerReference"] = f"{stack}/{logical_id}"
    body = _xml("cloudfront", "CreateDistribution", {"DistributionConfig": asked})
    created = _identifier(cloudfront._create_distribution({}, body))  # noqa: SLF001  as above
    distribution = cloudfront._distributions[created]  # noqa: SLF001  as above
    return created, {
        "Id": created,
        "Arn": distribution["ARN"],
        "DomainName": distribution["DomainName"],
    }


def _xml(service: str, operation: str, properties: Properties) -> bytes:
    """Return the body that the SDK would send for `operation`, from CloudFormation's spelling."""
    model = botocore.session.get_session().get_service_model(service).operation_model(operation)
    serializer = create_serializer("rest-xml", include_validation=False)
    asked = {"Bucket": "unused"} | properties if service == "s3" else properties
    body = serializer.serialize_to_request(_api_form(asked, model.input_shape), model)["body"]
    return bytes(body)


def _api_form(value: Any, shape: Shape | None) -> Any:
    """CloudFormation writes a plain list where CloudFront's API wants {Quantity, Items}."""
    if isinstance(shape, ListShape):
        return [_api_form(item, shape.member) for item in value]
    if not isinstance(shape, StructureShape):
        return value
    if isinstance(value, list):
        value = {"Quantity": len(value), "Items": value}
    return {
        name: _api_form(item, shape.members[name])
        for name, item in value.items()
        if name in shape.members
    }


def _renamed(properties: Properties, cloudformation: str, api: str) -> Properties:
    return {api if key == cloudformation else key: value for key, value in properties.items()}


def _accepted(answer: Answer) -> bytes:
    status, _headers, body = answer
    if status >= 400:  # noqa: PLR2004  HTTP's first error
        raise ProvisioningRefused(f"{status}: {body!r}")
    return body


def _identifier(answer: Answer) -> str:
    root = ET.fromstring(_accepted(answer))  # noqa: S314  MiniStack's own answer
    return root.findtext("{*}Id") or ""
