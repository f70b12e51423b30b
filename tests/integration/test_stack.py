"""The template, deployed to the embedded AWS and inspected through the AWS APIs."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiobotocore.session import get_session

from cli.local.stack import StackFailed, StackOutputs, deploy
from harness.aws import DeployStack, RecordingAws


@pytest.fixture
async def stack(deploy_stack: DeployStack) -> StackOutputs:
    return await deploy_stack("template", VisibilityTimeoutSeconds="7", MaxReceiveCount="2")


async def test_tables_have_their_indexes(embedded_aws: RecordingAws, stack: StackOutputs) -> None:
    """Requests are indexed by customer and by failure; images only have their id."""
    async with get_session().create_client("dynamodb", **embedded_aws.sdk()) as client:
        table = (await client.describe_table(TableName=stack.requests_table))["Table"]
        images = (await client.describe_table(TableName=stack.images_table))["Table"]
    indexes = {
        index["IndexName"]: (
            [key["AttributeName"] for key in index["KeySchema"]],
            index["Projection"],
        )
        for index in table["GlobalSecondaryIndexes"]
    }
    assert indexes == {
        "byCustomer": (["customerShard", "createdAt"], {"ProjectionType": "KEYS_ONLY"}),
        "byFailure": (
            ["failureShard", "updatedAt"],
            {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["failureCode", "revision"]},
        ),
    }
    assert images["KeySchema"] == [{"AttributeName": "imageId", "KeyType": "HASH"}]
    assert not images.get("GlobalSecondaryIndexes")


async def test_queues_have_their_times_and_redrive_policy(
    embedded_aws: RecordingAws, stack: StackOutputs
) -> None:
    """Only the queue of requests has a redrive policy: to the DLQ, after the given number of receives."""
    urls = (stack.queue_url, stack.failed_requests_queue_url, stack.dlq_url)
    async with get_session().create_client("sqs", **embedded_aws.sdk()) as client:
        queue, failed_requests, dlq = [
            (await client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]
            for url in urls
        ]
    assert json.loads(queue["RedrivePolicy"]) == {
        "deadLetterTargetArn": dlq["QueueArn"],
        "maxReceiveCount": "2",
    }
    assert queue["VisibilityTimeout"] == "7"
    assert queue["ReceiveMessageWaitTimeSeconds"] == "20"
    for each in (queue, failed_requests, dlq):
        assert each["MessageRetentionPeriod"] == "1209600"
        assert each["SqsManagedSseEnabled"] == "true"
    assert "RedrivePolicy" not in failed_requests
    assert "RedrivePolicy" not in dlq


async def test_a_message_received_too_often_goes_to_the_dlq(
    embedded_aws: RecordingAws, stack: StackOutputs
) -> None:
    """After the last receive SQS moves the message, even if the consumer does nothing."""
    async with get_session().create_client("sqs", **embedded_aws.sdk()) as client:
        await client.send_message(QueueUrl=stack.queue_url, MessageBody="poison")
        for expected in (1, 1, 0):
            received = await client.receive_message(
                QueueUrl=stack.queue_url, VisibilityTimeout=0, WaitTimeSeconds=0
            )
            assert len(received.get("Messages", [])) == expected
        moved = await client.receive_message(QueueUrl=stack.dlq_url)
        assert [each["Body"] for each in moved["Messages"]] == ["poison"]
        await client.delete_message(
            QueueUrl=stack.dlq_url,
            ReceiptHandle=moved["Messages"][0]["ReceiptHandle"],
        )


async def test_the_indexer_gets_completed_events(
    embedded_aws: RecordingAws, stack: StackOutputs
) -> None:
    """Its queue gets COMPLETED events as they were published, and only the topic may send to it."""
    async with get_session().create_client("sns", **embedded_aws.sdk()) as sns:
        for status in ("COMPLETED", "FAILED", "COMPLETED"):
            attribute: Any = {"DataType": "String", "StringValue": status}
            await sns.publish(
                TopicArn=stack.topic_arn,
                Message=f'{{"status": "{status}"}}',
                MessageAttributes={"status": attribute},
            )
    async with get_session().create_client("sqs", **embedded_aws.sdk()) as client:
        received = await client.receive_message(
            QueueUrl=stack.search_queue_url, MaxNumberOfMessages=10
        )
        response = await client.get_queue_attributes(
            QueueUrl=stack.search_queue_url, AttributeNames=["All"]
        )
        dead = await client.get_queue_attributes(
            QueueUrl=stack.search_dlq_url, AttributeNames=["All"]
        )
    assert [each["Body"] for each in received["Messages"]] == ['{"status": "COMPLETED"}'] * 2
    queue = response["Attributes"]
    assert json.loads(queue["RedrivePolicy"]) == {
        "deadLetterTargetArn": dead["Attributes"]["QueueArn"],
        "maxReceiveCount": "20",
    }
    assert queue["MessageRetentionPeriod"] == "1209600"
    assert dead["Attributes"]["MessageRetentionPeriod"] == "1209600"
    (statement,) = json.loads(queue["Policy"])["Statement"]
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": stack.topic_arn}}


async def test_a_stack_without_search(deploy_stack: DeployStack) -> None:
    """Search=off creates no resources of search, and all others."""
    stack = await deploy_stack("unsearched", Search="off")
    assert (stack.search_queue_url, stack.search_dlq_url) == ("", "")
    assert (stack.indexer_role_arn, stack.search_url) == ("", "")
    assert stack.queue_url.endswith("/unsearched-queue")


async def test_a_stack_with_a_domain(embedded_aws: RecordingAws, deploy_stack: DeployStack) -> None:
    """Search=domain sets the URL of the engine, and that requests must be signed."""
    stack = await deploy_stack("searched", Search="domain")
    assert stack.environment()["SEARCH_URL"].startswith("https://")
    assert stack.environment()["SEARCH_SIGNED"] == "true"
    async with get_session().create_client("iam", **embedded_aws.sdk()) as client:
        for arn in (stack.server_role_arn, stack.indexer_role_arn):
            policies = await client.list_role_policies(RoleName=arn.rpartition("/")[2])
            assert "search" in policies["PolicyNames"]


async def test_the_bucket_is_private(embedded_aws: RecordingAws, stack: StackOutputs) -> None:
    """All four kinds of public access are blocked. Only CloudFront may read, and only over TLS."""
    async with get_session().create_client("s3", **embedded_aws.sdk()) as client:
        block = await client.get_public_access_block(Bucket=stack.bucket)
        policy = await client.get_bucket_policy(Bucket=stack.bucket)
    assert set(block["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(block["PublicAccessBlockConfiguration"]) == 4
    allow, deny = json.loads(policy["Policy"])["Statement"]
    assert allow["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    source = allow["Condition"]["StringEquals"]["AWS:SourceArn"]
    assert source.endswith(f":distribution/{stack.distribution_id}")
    assert deny["Effect"] == "Deny"


async def test_the_distribution_signs_requests_and_sandboxes_content(
    embedded_aws: RecordingAws, stack: StackOutputs
) -> None:
    """CloudFront uses origin access control and HTTPS, and forbids content sniffing and scripts."""
    async with get_session().create_client("cloudfront", **embedded_aws.sdk()) as client:
        found = await client.get_distribution(Id=stack.distribution_id)
        config = found["Distribution"]["DistributionConfig"]
        (origin,) = config["Origins"]["Items"]
        control = await client.get_origin_access_control(Id=origin["OriginAccessControlId"])
        behavior = config["DefaultCacheBehavior"]
        headers = await client.get_response_headers_policy(Id=behavior["ResponseHeadersPolicyId"])
    assert behavior["ViewerProtocolPolicy"] == "redirect-to-https"
    signing = control["OriginAccessControl"]["OriginAccessControlConfig"]
    assert (signing["SigningBehavior"], signing["SigningProtocol"]) == ("always", "sigv4")
    security = headers["ResponseHeadersPolicy"]["ResponseHeadersPolicyConfig"][
        "SecurityHeadersConfig"
    ]
    assert security["ContentTypeOptions"] == {"Override": True}
    assert "sandbox" in security["ContentSecurityPolicy"]["ContentSecurityPolicy"]


async def test_topic_roles_and_alarms_exist(
    embedded_aws: RecordingAws, deploy_stack: DeployStack
) -> None:
    """Alarms watch both DLQs and the oldest message of each lane, and notify the given topic."""
    on_call = "arn:aws:sns:us-east-1:000000000000:on-call"
    stack = await deploy_stack("alarmed", AlarmTopicArn=on_call)
    async with get_session().create_client("cloudwatch", **embedded_aws.sdk()) as client:
        found = await client.describe_alarms(AlarmNamePrefix="alarmed-")
    alarms = {
        alarm["Dimensions"][0]["Value"]: (alarm["MetricName"], alarm["AlarmActions"])
        for alarm in found["MetricAlarms"]
    }
    assert alarms == {
        "alarmed-undelivered": ("ApproximateNumberOfMessagesVisible", [on_call]),
        "alarmed-search-dead-letters": ("ApproximateNumberOfMessagesVisible", [on_call]),
        "alarmed-queue": ("ApproximateAgeOfOldestMessage", [on_call]),
        "alarmed-bulk": ("ApproximateAgeOfOldestMessage", [on_call]),
    }
    async with get_session().create_client("sns", **embedded_aws.sdk()) as client:
        assert await client.get_topic_attributes(TopicArn=stack.topic_arn)
    async with get_session().create_client("iam", **embedded_aws.sdk()) as client:
        for arn in (
            stack.server_role_arn,
            stack.consumer_role_arn,
            stack.operator_role_arn,
            stack.exporter_role_arn,
            stack.indexer_role_arn,
            stack.scaler_role_arn,
        ):
            role = await client.get_role(RoleName=arn.rpartition("/")[2])
            assert role["Role"]["Arn"] == arn


async def test_a_published_object_is_read_at_its_public_url(
    embedded_aws: RecordingAws, stack: StackOutputs
) -> None:
    """On a laptop the public URL returns the object without a signature."""
    async with get_session().create_client("s3", **embedded_aws.sdk()) as client:
        await client.put_object(Bucket=stack.bucket, Key="images/ab/x.png", Body=b"bytes")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{stack.public_base_url}images/ab/x.png") as response,
    ):
        assert (response.status, await response.read()) == (200, b"bytes")


async def test_deploying_again_changes_only_what_changed(deploy_stack: DeployStack) -> None:
    """An unchanged template is not an error, and a changed parameter updates the stack in place."""
    first = await deploy_stack("again")
    assert await deploy_stack("again") == first
    assert await deploy_stack("again", VisibilityTimeoutSeconds="9") == first


@pytest.fixture
def broken_template(tmp_path: Path) -> Path:
    template = tmp_path / "broken.yaml"
    properties = "{RedrivePolicy: {maxReceiveCount: 0, deadLetterTargetArn: nowhere}}"
    template.write_text(
        f"Resources: {{Broken: {{Type: 'AWS::SQS::Queue', Properties: {properties}}}}}"
    )
    return template


async def test_a_failed_deployment_names_the_resource_and_the_reason(
    embedded_aws: RecordingAws, broken_template: Path
) -> None:
    """The error names the failed resource and the reason."""
    with pytest.raises(StackFailed, match="Broken: "):
        await deploy(embedded_aws.endpoint, name_prefix="broken", template=broken_template)
