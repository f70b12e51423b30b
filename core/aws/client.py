"""AWS clients, and the function that makes their calls.

Endpoints, region and credentials come from the SDK's variables (AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, …).
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from core.answers import MalformedAnswer, decode_answer
from core.aws.http import AwsHttpClients, JsonService, Limits, open_http_clients, open_sqs_client
from core.errors import DependencyUnavailable, RequestRejected
from core.runtime.deadline import Deadline
from core.runtime.metrics import AWS_CALL_SECONDS, AWS_CALLS, counter, histogram

if TYPE_CHECKING:
    from types_aiobotocore_cloudwatch import CloudWatchClient
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

A = TypeVar("A")
R = TypeVar("R")


_REJECTIONS = frozenset(
    {
        "ValidationException",
        "ConditionalCheckFailedException",
        "InvalidMessageContents",
        "BatchRequestTooLong",
        "AWS.SimpleQueueService.BatchRequestTooLong",
        "InvalidParameter",
        "ParameterValueInvalid",
    }
)
"""Error codes that concern the content of the request. All others (throttling, internal errors, missing tables, missing
permissions, expired credentials) are a fault of the installation, never of an image."""


CALL_SECONDS = 15.0
"""Time limit of a call, retries included. A connection that does not answer must not block the callers behind it."""


async def call(
    operation: str,
    response: Awaitable[A],
    decode: Callable[[A], R],
    *,
    seconds: float = CALL_SECONDS,
) -> R:
    """Await a client's call, measure it, and return its decoded answer. `seconds` is its time limit.

    `decode` is the operation's decoder (core/answers.py). Raises RequestRejected, or DependencyUnavailable, also if the
    answer is malformed.
    """
    started = time.perf_counter()
    outcome = "cancelled"
    try:
        with Deadline(seconds):
            answer = await response
        decoded = decode_answer(decode, answer)
    except ClientError as error:
        outcome = error.response["Error"]["Code"]
        if outcome in _REJECTIONS:
            message = error.response["Error"].get("Message", "")
            raise RequestRejected(operation, outcome, message) from error
        raise DependencyUnavailable(f"{operation}: {error}") from error
    except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
        outcome = type(error).__name__
        raise DependencyUnavailable(f"{operation}: {type(error).__name__}: {error}") from error
    except MalformedAnswer as error:
        outcome = type(error).__name__
        raise DependencyUnavailable(f"{operation}: malformed answer: {error}") from error
    else:
        outcome = "ok"
        return decoded
    finally:
        counter(AWS_CALLS, operation, outcome).inc()
        histogram(AWS_CALL_SECONDS, operation).observe(time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class Aws:
    """The clients of one process: the SDK's, and `http`, which makes the calls that every image needs at less cost.

    No two of them share a connection pool, and in `http` each service has its own. A pool holds up to 64 connections.
    """

    dynamodb: "DynamoDBClient"
    sqs: "SQSClient"
    s3: "S3Client"
    sns: "SNSClient"
    cloudwatch: "CloudWatchClient"
    http: AwsHttpClients


_LIMITS = Limits()
_CONFIG = AioConfig(
    connect_timeout=_LIMITS.connect_timeout,
    # Above SQS's longest long poll of 20 s: the SDK has one timeout for all calls.
    read_timeout=25,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=_LIMITS.connections,
    # Validation is half of the SDK's cost for a batch, and typed code builds our requests.
    parameter_validation=False,
    tcp_keepalive=True,
)


@asynccontextmanager
async def open_aws(limits: Limits = _LIMITS) -> AsyncIterator[Aws]:
    """Open the clients of all services. `limits` applies to `Aws.http`."""
    session = get_session()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dynamodb = await enter(session.create_client("dynamodb", config=_CONFIG))
        sqs = await enter(session.create_client("sqs", config=_CONFIG))
        s3 = await enter(session.create_client("s3", config=_CONFIG))
        sns = await enter(session.create_client("sns", config=_CONFIG))
        cloudwatch = await enter(session.create_client("cloudwatch", config=_CONFIG))
        yield Aws(
            dynamodb=dynamodb,
            sqs=sqs,
            s3=s3,
            sns=sns,
            cloudwatch=cloudwatch,
            http=await enter(
                open_http_clients(
                    session,
                    limits,
                    dynamodb=dynamodb,
                    sqs=sqs,
                    s3=s3,
                    sns=sns,
                    cloudwatch=cloudwatch,
                )
            ),
        )


@asynccontextmanager
async def open_sqs(limits: Limits = _LIMITS) -> AsyncIterator[JsonService]:
    """Open SQS alone, for a process that needs no other service: each SDK client costs memory."""
    session = get_session()
    async with (
        session.create_client("sqs", config=_CONFIG) as sqs,
        open_sqs_client(session, limits, sqs) as service,
    ):
        yield service
