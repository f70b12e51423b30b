"""Reads an HTTP request to AWS as IAM does: principal, API and resource."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

ACCOUNT = "000000000000"
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_STATEMENT = re.compile(
    r"\s*(INSERT\s+INTO|UPDATE|DELETE\s+FROM|SELECT\b.*?\bFROM)\s+"
    r'"?([\w.-]+?)"?(?:\."?([\w-]+)"?)?(?=\s|$)',
    re.IGNORECASE | re.DOTALL,
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OBJECT_APIS = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject"}


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """One API call on one resource. `api` is like `dynamodb:GetItem`; `resource` is an ARN or `*`.

    `key` is the partition key of an UpdateItem, which IAM calls a leading key. UUIDs in it are shortened.
    """

    principal: str
    api: str
    resource: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Signed:
    """The content of the Authorization header of a signature (version 4)."""

    principal: str
    region: str
    service: str

    @classmethod
    def parse(cls, authorization: str) -> "Signed | None":
        found = _CREDENTIAL.search(authorization)
        if found is None:
            return None
        principal, region, service = found.groups()
        # The signing name of CloudWatch is "monitoring"; its prefix in IAM is "cloudwatch".
        return cls(principal, region, {"monitoring": "cloudwatch"}.get(service, service))


@dataclass(frozen=True, slots=True)
class Request:
    signed: Signed
    method: str
    path: str
    query: str
    target: str
    """The header X-Amz-Target; empty if there is none."""
    body: bytes


def calls(request: Request) -> Iterator[Call]:
    """Yield the calls that IAM must allow. An unknown request yields a call that no role allows."""
    service = request.signed.service
    if service == "s3":
        pairs: Iterator[tuple[str, ...]] = _s3(request)
    elif service == "dynamodb":
        pairs = _dynamodb(request)
    else:
        pairs = iter([(_operation(request), _resource(request))])
    for operation, *rest in pairs:
        yield Call(request.signed.principal, f"{service}:{operation}", *rest)


def _operation(request: Request) -> str:
    if request.target:
        return request.target.rpartition(".")[2]
    if "/operation/" in request.path:
        return request.path.rpartition("/")[2]
    return parse_qs(request.body.decode()).get("Action", ["unknown"])[0]


def _resource(request: Request) -> str:
    named = json.loads(request.body) if request.target else _form(request.body)
    if url := named.get("QueueUrl"):
        return _arn(request, str(url).rpartition("/")[2])
    return str(named.get("TopicArn", "*"))


def _form(body: bytes) -> Mapping[str, str]:
    try:
        return {key: values[0] for key, values in parse_qs(body.decode()).items()}
    except UnicodeDecodeError:
        return {}


def _arn(request: Request, name: str) -> str:
    return f"arn:aws:{request.signed.service}:{request.signed.region}:{ACCOUNT}:{name}"


def _s3(request: Request) -> Iterator[tuple[str, str]]:
    bucket, _, key = request.path.lstrip("/").partition("/")
    if not key or (request.query and not request.query.startswith("x-id=")):
        yield f"{request.method}?{request.query}", f"arn:aws:s3:::{bucket}"
        return
    # One call for each folder: keys are hashes, so each key would be a new call.
    folder, slash, _ = key.partition("/")
    operation = _OBJECT_APIS.get(request.method, f"{request.method}Object")
    yield operation, f"arn:aws:s3:::{bucket}/{folder}{slash}{'…' if slash else ''}"


def _dynamodb(request: Request) -> Iterator[tuple[str, ...]]:
    operation = _operation(request)
    parameters = json.loads(request.body)
    statements = _statements(parameters)
    if statements:
        for statement in statements:
            found = _STATEMENT.match(statement)
            if found is None:
                yield "PartiQLUnknown", "*"
                continue
            verb, table, index = found.groups()
            suffix = f"/index/{index}" if index else ""
            yield f"PartiQL{verb.split()[0].capitalize()}", _arn(request, f"table/{table}{suffix}")
    elif "RequestItems" in parameters:
        for table in parameters["RequestItems"]:
            yield operation, _arn(request, f"table/{table}")
    elif "TransactItems" in parameters:
        for item in parameters["TransactItems"]:
            for verb, part in item.items():
                name = "ConditionCheckItem" if verb == "ConditionCheck" else f"{verb}Item"
                yield name, _arn(request, f"table/{part['TableName']}")
    elif "TableName" in parameters:
        index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
        table = _arn(request, f"table/{parameters['TableName']}{index}")
        yield operation, table, *_leading_key(operation, parameters)
    else:
        yield operation, "*"


def _leading_key(operation: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    if operation == "UpdateItem":
        for value in parameters["Key"].values():
            yield _UUID.sub("…", value["S"])


def _statements(parameters: Mapping[str, Any]) -> list[str]:
    if "Statement" in parameters:
        return [parameters["Statement"]]
    return [
        each["Statement"]
        for each in parameters.get("Statements", parameters.get("TransactStatements", []))
    ]
