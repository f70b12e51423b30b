"""The driver's own way to AWS, where it has one: to be told, to look at the queue, and to prove.

Its calls are made with the credentials of whoever runs the load test, never with a role of the service.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.aws.client import Aws, open_aws

REQUESTS_TABLE, IMAGES_TABLE, QUEUE_URL, TOPIC_ARN = NEEDED = (
    "REQUESTS_TABLE",
    "IMAGES_TABLE",
    "QUEUE_URL",
    "TOPIC_ARN",
)
"""Variables that server and consumer know as well; all four must be there."""


@dataclass(frozen=True, slots=True)
class AwsAccess:
    clients: Aws
    requests_table: str
    images_table: str
    queue_url: str
    topic_arn: str
    public_base_url: str
    """Where the bucket's objects are published, with a slash at its end; empty where it is not known."""
    counts_rows: bool
    """Whether a table's ItemCount is exact: emulators count at once, DynamoDB every six hours."""


@asynccontextmanager
async def open_access(environment: Mapping[str, str]) -> AsyncIterator[AwsAccess | None]:
    """None where the variables do not say where tables, queue and topic are."""
    if not all(environment.get(name) for name in NEEDED):
        yield None
        return
    async with open_aws() as clients:
        yield AwsAccess(
            clients=clients,
            requests_table=environment[REQUESTS_TABLE],
            images_table=environment[IMAGES_TABLE],
            queue_url=environment[QUEUE_URL],
            topic_arn=environment[TOPIC_ARN],
            public_base_url=environment.get("PUBLIC_BASE_URL", ""),
            counts_rows=any(name.startswith("AWS_ENDPOINT_URL") for name in environment),
        )
