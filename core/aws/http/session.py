"""One process's short ways to AWS, opened with what the SDK knows."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiobotocore.session import AioSession
from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.utils import get_environ_proxies

from core.aiohttp_internals import HandlerConnector, PayloadErrorHandler
from core.aws.http.client import Exchange, Limits
from core.aws.http.json_protocol import JsonService
from core.aws.http.s3 import ObjectStore, bucket_url
from core.aws.http.sigv4 import Scope
from core.aws.http.sns import Publisher

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

_IDLE_S = 12
"""Seconds that an unused connection is kept, as by the SDK; S3 closes after 20."""

OpenClient = Callable[[str], Exchange]


@dataclass(frozen=True, slots=True)
class Wire:
    """`dynamodb` and `sqs` call any operation, `sns` publishes, `bucket` answers the way to one bucket."""

    dynamodb: JsonService
    sqs: JsonService
    sns: Publisher
    bucket: Callable[[str], ObjectStore]


@asynccontextmanager
async def open_http_clients(
    session: AioSession,
    limits: Limits,
    *,
    dynamodb: "DynamoDBClient",
    sqs: "SQSClient",
    s3: "S3Client",
    sns: "SNSClient",
) -> AsyncIterator[Wire]:
    """Endpoints, regions and protocols are those of the SDK's clients; credentials and certificates the session's."""
    trusted = _trusted(session)
    async with AsyncExitStack() as stack:

        async def to(client: Any) -> OpenClient:
            return await stack.enter_async_context(_open_client(session, limits, trusted, client))

        yield Wire(
            dynamodb=_json_service(dynamodb, await to(dynamodb)),
            sqs=_json_service(sqs, await to(sqs)),
            sns=_publisher(sns, await to(sns)),
            bucket=_buckets(s3, await to(s3)),
        )


@asynccontextmanager
async def open_sqs_client(
    session: AioSession, limits: Limits, sqs: "SQSClient"
) -> AsyncIterator[JsonService]:
    """Open SQS alone; arguments as of `open_http_clients`."""
    async with _open_client(session, limits, _trusted(session), sqs) as exchange_at:
        yield _json_service(sqs, exchange_at)


@asynccontextmanager
async def _open_client(
    session: AioSession, limits: Limits, trusted: ssl.SSLContext, client: Any
) -> AsyncIterator[OpenClient]:
    credentials = await session.get_credentials()
    scope = Scope(client.meta.region_name, client.meta.service_model.signing_name)
    # A connector for each service: they may share a host, and one that stalls would hold every connection.
    async with HandlerConnector(
        PayloadErrorHandler, limit=limits.connections, keepalive_timeout=_IDLE_S, ssl=trusted
    ) as connector:

        def exchange_at(endpoint: str) -> Exchange:
            return Exchange(
                endpoint,
                scope,
                connector=connector,
                credentials=credentials,
                limits=limits,
                proxy=_proxy(endpoint),
            )

        yield exchange_at


def _json_service(client: Any, exchange_at: OpenClient) -> JsonService:
    endpoint = client.meta.endpoint_url
    metadata = client.meta.service_model.metadata
    return JsonService(
        exchange_at(endpoint),
        _path(endpoint),
        prefix=metadata["targetPrefix"],
        version=metadata["jsonVersion"],
    )


def _publisher(sns: Any, exchange_at: OpenClient) -> Publisher:
    endpoint = sns.meta.endpoint_url
    return Publisher(
        exchange_at(endpoint), _path(endpoint), version=sns.meta.service_model.api_version
    )


def _buckets(s3: Any, exchange_at: OpenClient) -> Callable[[str], ObjectStore]:
    def bucket(name: str) -> ObjectStore:
        url = bucket_url(s3.meta.endpoint_url, name)
        return ObjectStore(exchange_at(url), _path(url))

    return bucket


def _trusted(session: AioSession) -> ssl.SSLContext:
    authorities = session.get_config_variable("ca_bundle") or get_cert_path(verify=True)
    return ssl.create_default_context(cafile=authorities)


def _path(endpoint: str) -> str:
    return urlsplit(endpoint).path or "/"


def _proxy(endpoint: str) -> str | None:
    """As the SDK reads the variables: `host:port` alone is a proxy that speaks HTTP."""
    proxies = ProxyConfiguration(proxies=get_environ_proxies(endpoint))
    proxy: str | None = proxies.proxy_url_for(endpoint)
    return proxy
