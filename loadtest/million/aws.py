"""AWS access of the driver itself: notifications, queue depth, verification, and the AWS calls of server and consumers.

The driver uses the credentials of the person who runs the load test, not a role of the service.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from core.aws.client import Aws, open_aws
from core.aws.sqs import SqsQueue
from core.errors import ImageServiceError
from loadtest.run_report.record import Table
from loadtest.run_report.recorder import Depth

REQUESTS_TABLE, IMAGES_TABLE, QUEUE_URL, TOPIC_ARN = REQUIRED = (
    "REQUESTS_TABLE",
    "IMAGES_TABLE",
    "QUEUE_URL",
    "TOPIC_ARN",
)
"""Settings that server and consumer have too. All four are required for AWS access."""

AWS_ERRORS = (
    ImageServiceError,
    BotoCoreError,
    ClientError,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
)

SCRAPE_TIMEOUT_S = 5.0
_CALLS = re.compile(r'^aws_calls_total\{[^}]*operation="([^"]+)"[^}]*\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class AwsAccess:
    clients: Aws
    requests_table: str
    images_table: str
    queue_url: str
    bulk_queue_url: str
    topic_arn: str
    public_base_url: str
    """Base URL of published objects, with a trailing slash; empty if unknown."""
    counts_rows: bool
    """Whether ItemCount of a table is exact. Emulators update it at once, DynamoDB every six hours."""


@asynccontextmanager
async def open_access(environment: Mapping[str, str]) -> AsyncIterator[AwsAccess | None]:
    """Open the clients; None if the environment lacks one of the REQUIRED settings."""
    if not all(environment.get(name) for name in REQUIRED):
        yield None
        return
    async with open_aws() as clients:
        yield AwsAccess(
            clients=clients,
            requests_table=environment[REQUESTS_TABLE],
            images_table=environment[IMAGES_TABLE],
            queue_url=environment[QUEUE_URL],
            bulk_queue_url=environment.get("BULK_QUEUE_URL", ""),
            topic_arn=environment[TOPIC_ARN],
            public_base_url=environment.get("PUBLIC_BASE_URL", ""),
            counts_rows=any(name.startswith("AWS_ENDPOINT_URL") for name in environment),
        )


async def queue_depth(aws: AwsAccess, queue_url: str) -> Depth | None:
    """Read the approximate depth of a queue; None if the read fails."""
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    try:
        attributes = await SqsQueue(aws.clients.http.sqs, queue_url).attributes(*names)
    except AWS_ERRORS:
        return None
    return Depth(*(attributes[name] for name in names))


async def lanes_depth(aws: AwsAccess) -> Depth | None:
    """Read the depth of both lanes together; None if a read fails."""
    urls = [url for url in (aws.queue_url, aws.bulk_queue_url) if url]
    depths = await asyncio.gather(*(queue_depth(aws, url) for url in urls))
    known = [depth for depth in depths if depth is not None]
    if len(known) < len(urls):
        return None
    return Depth(*map(sum, zip(*map(astuple, known), strict=True)))


async def calls_made(metrics: Sequence[str]) -> dict[str, float]:
    """Return the AWS calls of server and consumers since their start, by operation.

    `metrics` holds the URLs of their metrics.
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(SCRAPE_TIMEOUT_S)) as session:
        pages = await asyncio.gather(*(_page(session, url) for url in metrics))
    calls: dict[str, float] = {}
    for page in pages:
        for operation, count in _CALLS.findall(page):
            calls[operation] = calls.get(operation, 0.0) + float(count)
    return calls


async def _page(session: aiohttp.ClientSession, url: str) -> str:
    """Return the metrics page, or an empty one on failure: the report is then complete but for this figure."""
    try:
        async with session.get(url) as response:
            return await response.text()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return ""


def calls_table(before: Mapping[str, float], after: Mapping[str, float], items: int) -> Table:
    """Tabulate the calls between two readings, in which `items` ended."""
    made = {name: count - before.get(name, 0.0) for name, count in after.items()}
    rows = [(name, count) for name, count in sorted(made.items(), key=lambda one: -one[1]) if count]
    every = [("all", sum(count for _, count in rows)), *rows]
    return Table(
        "AWS calls of server and consumers",
        ("operation", "calls", "per item"),
        tuple((name, round(count), round(count / max(1, items), 4)) for name, count in every),
    )
