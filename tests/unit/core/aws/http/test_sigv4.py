"""Our signatures equal the SDK's."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SdkCredentials

from core.aws.http.s3 import bucket_url
from core.aws.http.sigv4 import CredentialScope, sign

NOW = 1_790_000_000


@pytest.mark.parametrize("token", [None, "a-session-token/with+signs=="])
@pytest.mark.parametrize(
    ("service", "method", "path", "headers"),
    [
        ("dynamodb", "POST", "/", {"x-amz-target": "DynamoDB_20120810.PutItem"}),
        ("sqs", "POST", "/", {"content-type": "application/x-amz-json-1.0"}),
        ("sqs", "POST", "/a%20gateway/./aws/", {}),
        ("s3", "PUT", "/bucket/images/ab/0f/a~b.jpg", {"cache-control": "public, max-age=1"}),
        ("s3", "PUT", "/a%20key", {"content-type": "image/jpeg", "x-amz-meta-a": "b"}),
    ],
)
def test_the_signature_equals_the_sdks(
    service: str, method: str, path: str, headers: dict[str, str], token: str | None
) -> None:
    """For the same request, time and credentials."""
    body = b'{"a": 1}'
    digest = hashlib.sha256(body).hexdigest()
    if service == "s3":
        headers = {**headers, "x-amz-content-sha256": digest}
    request = AWSRequest(method, f"https://host.example:8443{path}", headers=headers, data=body)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    sdk: Any = SdkCredentials("AKID", "SECRET", token)
    moment = datetime.fromtimestamp(NOW, UTC)
    with patch("botocore.auth.get_current_datetime", return_value=moment):
        signer(sdk, service, "eu-west-1").add_auth(request)
    ours = sign(
        {**headers, "host": "host.example:8443"},
        method=method,
        path=path,
        payload_sha256=digest,
        credentials=sdk.get_frozen_credentials(),
        scope=CredentialScope("eu-west-1", service),
        now=NOW,
    )
    assert ours["authorization"] == request.headers["Authorization"]
    assert ours.get("x-amz-security-token") == token


@pytest.mark.parametrize(
    ("endpoint", "bucket", "url"),
    [
        ("https://s3.eu-west-1.amazonaws.com", "pics", "https://pics.s3.eu-west-1.amazonaws.com/"),
        ("https://s3.eu-west-1.amazonaws.com", "a.b", "https://s3.eu-west-1.amazonaws.com/a.b/"),
        (
            "https://s3.cn-north-1.amazonaws.com.cn",
            "pics",
            "https://pics.s3.cn-north-1.amazonaws.com.cn/",
        ),
        ("http://127.0.0.1:4566/", "pics", "http://127.0.0.1:4566/pics/"),
    ],
)
def test_the_url_of_a_bucket(endpoint: str, bucket: str, url: str) -> None:
    """A host of its own on AWS, unless its name has dots; a folder at other endpoints."""
    assert bucket_url(endpoint, bucket) == url
