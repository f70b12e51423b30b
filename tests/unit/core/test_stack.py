"""The template, and the parsing of CloudFormation's responses."""

import subprocess
import sys
from typing import Any

import pytest

from cli.local.stack import TEMPLATE, StackOutputs, failures
from harness.permissions import ROLES, load_template

OUTPUTS = {
    "RequestsTable": "requests",
    "ImagesTable": "images",
    "QueueUrl": "https://queue",
    "BulkQueueUrl": "https://bulk",
    "FailedRequestsQueueUrl": "https://failed-requests",
    "DlqUrl": "https://dlq",
    "DeadLetterQueueUrl": "https://failed-requests",
    "UndeliveredQueueUrl": "https://dlq",
    "Bucket": "bucket",
    "TopicArn": "arn:topic",
    "PublicBaseUrl": "https://cdn/",
    "DistributionId": "E1",
    "ServerRoleArn": "arn:server",
    "ConsumerRoleArn": "arn:consumer",
    "OperatorRoleArn": "arn:operator",
    "ExporterRoleArn": "arn:exporter",
    "ScalerRoleArn": "arn:scaler",
    "CustomerTagKeyArn": "arn:key",
    "SearchQueueUrl": "https://search",
    "SearchDlqUrl": "https://search-dlq",
    "SearchDeadLetterQueueUrl": "https://search-dlq",
    "IndexerRoleArn": "arn:indexer",
    "SearchUrl": "https://domain",
}
SEARCH_OUTPUTS = {
    "SearchQueueUrl",
    "SearchDlqUrl",
    "SearchDeadLetterQueueUrl",
    "IndexerRoleArn",
    "SearchUrl",
}


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return load_template(TEMPLATE)


def test_cfn_lint_finds_nothing() -> None:
    """cfn-lint accepts the template without a warning."""
    run = subprocess.run(
        [sys.executable, "-c", "from cfnlint.runner import main; main()", str(TEMPLATE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "")


def test_the_template_fits_into_one_call(template: dict[str, Any]) -> None:
    """CloudFormation accepts at most 51,200 bytes without a bucket for the template."""
    assert len(TEMPLATE.read_bytes()) <= 51_200
    assert template["Outputs"].keys() == OUTPUTS.keys()


def test_customer_data_is_retained(template: dict[str, Any]) -> None:
    """Tables, bucket and the key of object names are retained if the stack deletes or replaces them."""
    kinds = {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SecretsManager::Secret"}
    kept = [each for each in template["Resources"].values() if each["Type"] in kinds]
    assert len(kept) == 4
    for each in kept:
        assert each["DeletionPolicy"] == "RetainExceptOnCreate"
        assert each["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("table", ["RequestsTable", "ImagesTable"])
def test_tables_can_be_restored(template: dict[str, Any], table: str) -> None:
    """Point-in-time recovery is on. The emulator has no backups, so this reads the template."""
    backups = template["Resources"][table]["Properties"]["PointInTimeRecoverySpecification"]
    assert backups == {"PointInTimeRecoveryEnabled": True}


def test_finished_data_expires(template: dict[str, Any]) -> None:
    """Rows expire and unfinished uploads are aborted. The emulator does neither, so this reads the template."""
    resources = template["Resources"]
    for table in ("RequestsTable", "ImagesTable"):
        expiry = resources[table]["Properties"]["TimeToLiveSpecification"]
        assert expiry == {"AttributeName": "expiresAt", "Enabled": True}
    (rule,) = resources["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_every_role_is_trusted_by_pods_and_by_oidc(template: dict[str, Any]) -> None:
    """Only its own service account may assume a role, by Pod Identity or IRSA."""
    for key, role in ROLES.items():
        trust = template["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]
        condition, oidc, pods = trust["Fn::If"]
        namespace, account = (
            ("KedaNamespace", "KedaServiceAccount")
            if key == "scaler"
            else ("ServiceAccountNamespace", f"{key.capitalize()}ServiceAccount")
        )
        assert condition == "UsesOidc"
        assert f"${{{namespace}}}:${{{account}}}" in oidc["Fn::Sub"]
        (statement,) = pods["Statement"]
        assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
        assert statement["Condition"]["StringEquals"] == {
            "aws:RequestTag/kubernetes-namespace": {"Ref": namespace},
            "aws:RequestTag/kubernetes-service-account": {"Ref": account},
        }


def test_outputs_become_the_settings_variables() -> None:
    """The outputs of the template become the variables that the programs read."""
    outputs = StackOutputs.parse(
        [{"OutputKey": key, "OutputValue": value} for key, value in OUTPUTS.items()]
    )
    assert outputs.environment() == {
        "REQUESTS_TABLE": "requests",
        "IMAGES_TABLE": "images",
        "QUEUE_URL": "https://queue",
        "BULK_QUEUE_URL": "https://bulk",
        "FAILED_REQUESTS_QUEUE_URL": "https://failed-requests",
        "DLQ_URL": "https://dlq",
        "BUCKET": "bucket",
        "TOPIC_ARN": "arn:topic",
        "PUBLIC_BASE_URL": "https://cdn/",
        "SEARCH_QUEUE_URL": "https://search",
        "SEARCH_DLQ_URL": "https://search-dlq",
        "SEARCH_URL": "https://domain",
        "SEARCH_SIGNED": "true",
    }


def test_a_stack_of_the_previous_release_is_read() -> None:
    """A new CLI reads the outputs that an old template has, and gives them their new names."""
    current = {"FailedRequestsQueueUrl", "DlqUrl", "SearchDlqUrl"}
    every: Any = [{"OutputKey": key, "OutputValue": value} for key, value in OUTPUTS.items()]
    former: Any = [output for output in every if output["OutputKey"] not in current]
    assert StackOutputs.parse(former) == StackOutputs.parse(every)


def test_a_missing_output_is_an_empty_setting() -> None:
    """Without a domain, or without search, the variables exist and are empty, which means unset."""
    outputs = StackOutputs.parse(
        [
            {"OutputKey": key, "OutputValue": value}
            for key, value in OUTPUTS.items()
            if key not in SEARCH_OUTPUTS
        ]
    )
    found = {name: v for name, v in outputs.environment().items() if name.startswith("SEARCH_")}
    assert found == {
        "SEARCH_QUEUE_URL": "",
        "SEARCH_DLQ_URL": "",
        "SEARCH_URL": "",
        "SEARCH_SIGNED": "false",
    }


def test_a_search_domain_is_closed_to_all_but_two_roles(template: dict[str, Any]) -> None:
    """It is encrypted at rest and in transit, and accepts only signed HTTPS requests of indexer and server."""
    domain = template["Resources"]["SearchDomain"]["Properties"]
    assert domain["EncryptionAtRestOptions"] == {"Enabled": True}
    assert domain["NodeToNodeEncryptionOptions"] == {"Enabled": True}
    assert domain["DomainEndpointOptions"]["EnforceHTTPS"] is True
    assert "TLS-1-2" in domain["DomainEndpointOptions"]["TLSSecurityPolicy"]
    statements = domain["AccessPolicies"]["Statement"]
    assert [statement["Principal"] for statement in statements] == [
        {"AWS": {"Fn::GetAtt": "IndexerRole.Arn"}},
        {"AWS": {"Fn::GetAtt": "ServerRole.Arn"}},
    ]


def test_separate_policies_grant_only_the_domain(template: dict[str, Any]) -> None:
    """The test suite does not compare separate policies with calls, so they must grant only the domain."""
    apart = [
        statement
        for each in template["Resources"].values()
        if each["Type"] == "AWS::IAM::Policy"
        for statement in each["Properties"]["PolicyDocument"]["Statement"]
    ]
    assert [statement["Resource"] for statement in apart] == [
        {"Fn::Sub": "${SearchDomain.Arn}/*"},
        {"Fn::Sub": "${SearchDomain.Arn}/*/_search"},
    ]


def test_search_is_all_or_nothing(template: dict[str, Any]) -> None:
    """With Search=off no resource of search exists, and outputs have the same condition as their resources."""
    search = {"HasSearch", "HasSearchDomain"}
    named = {name: each for name, each in template["Resources"].items() if "Search" in name}
    named["IndexerRole"] = template["Resources"]["IndexerRole"]
    assert len(named) == 9
    for each in named.values():
        assert each["Condition"] in search
    conditional = {
        name for name, each in template["Outputs"].items() if each.get("Condition") in search
    }
    assert conditional == SEARCH_OUTPUTS


def test_only_the_first_cause_is_reported() -> None:
    """Resources that CloudFormation cancelled because another one failed are not reported."""
    reasons = [
        ("Queue", "CREATE_FAILED", "the name is taken"),
        ("Topic", "CREATE_FAILED", "Resource creation cancelled"),
        ("Bucket", "CREATE_COMPLETE", ""),
    ]
    events: list[Any] = [
        {"LogicalResourceId": name, "ResourceStatus": status, "ResourceStatusReason": reason}
        for name, status, reason in reasons
    ]
    assert failures(events) == "Queue: the name is taken"
