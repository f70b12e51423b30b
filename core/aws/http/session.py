"""Opens the HTTP clients of a process with the SDK's configuration."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiobotocore.client import AioBaseClient
from aiobotocore.session import AioSession
from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.utils import get_environ_proxies

from core.aiohttp_internals import HandlerConnector, PayloadErrorHandler
from core.aws.http.client import Limits, SignedClient
from core.aws.http.json_protocol import JsonService
from core.aws.http.s3 import ObjectStore, bucket_url
from core.aws.http.sigv4 import CredentialScope
from core.aws.http.sns import Publisher

_IDLE_S = 12
"""Seconds that an idle connection is kept, as in the SDK. S3 closes it after 20."""

ClientAt = Callable[[str], SignedClient]
"""Makes a client for an endpoint."""


@dataclass(frozen=True, slots=True)
class AwsHttpClients:
    """`sns` publishes, `bucket` returns the client of one bucket, and the others call any operation."""

    dynamodb: JsonService
    sqs: JsonService
    cloudwatch: JsonService
    sns: Publisher
    bucket: Callable[[str], ObjectStore]


@asynccontextmanager
async def open_http_clients(
    session: AioSession,
    limits: Limits,
    *,
    dynamodb: AioBaseClient,
    sqs: AioBaseClient,
    s3: AioBaseClient,
    sns: AioBaseClient,
    cloudwatch: AioBaseClient,
) -> AsyncIterator[AwsHttpClients]:
    """Open all clients, with the endpoints, regions and protocols of the SDK's clients."""
    trusted = _trusted(session)
    async with AsyncExitStack() as stack:

        async def to(client: AioBaseClient) -> ClientAt:
            return await stack.enter_async_context(_open_client(session, limits, trusted, client))

        yield AwsHttpClients(
            dynamodb=_json_service(dynamodb, await to(dynamodb)),
            sqs=_json_service(sqs, await to(sqs)),
            cloudwatch=_json_service(cloudwatch, await to(cloudwatch)),
            sns=_publisher(sns, await to(sns)),
            bucket=_buckets(s3, await to(s3)),
        )


@asynccontextmanager
async def open_sqs_client(
    session: AioSession, limits: Limits, sqs: AioBaseClient
) -> AsyncIterator[JsonService]:
    """Open SQS alone; arguments as of `open_http_clients`."""
    async with _open_client(session, limits, _trusted(session), sqs) as client_at:
        yield _json_service(sqs, client_at)


@asynccontextmanager
async def _open_client(
    session: AioSession, limits: Limits, trusted: ssl.SSLContext, client: AioBaseClient
) -> AsyncIterator[ClientAt]:
    credentials = await session.get_credentials()
    scope = CredentialScope(client.meta.region_name, client.meta.service_model.signing_name)
    # A connector for each service: they may share a host, and one that stalls would hold every connection.
    async with HandlerConnector(
        PayloadErrorHandler, limit=limits.connections, keepalive_timeout=_IDLE_S, ssl=trusted
    ) as connector:

        def client_at(endpoint: str) -> SignedClient:
            return SignedClient(
                endpoint,
                scope,
                connector=connector,
                credentials=credentials,
                limits=limits,
                proxy=_proxy(endpoint),
            )

        yield client_at


def _json_service(client: AioBaseClient, client_at: ClientAt) -> JsonService:
    endpoint = client.meta.endpoint_url
    metadata = client.meta.service_model.metadata
    return JsonService(
        client_at(endpoint),
        _path(endpoint),
        prefix=metadata["targetPrefix"],
        version=metadata["jsonVersion"],
    )


def _publisher(sns: AioBaseClient, client_at: ClientAt) -> Publisher:
    endpoint = sns.meta.endpoint_url
    return Publisher(
        client_at(endpoint), _path(endpoint), version=sns.meta.service_model.api_version
    )


def _buckets(s3: AioBaseClient, client_at: ClientAt) -> Callable[[str], ObjectStore]:
    def bucket(name: str) -> ObjectStore:
        url = bucket_url(s3.meta.endpoint_url, name)
        return ObjectStore(client_at(url), _path(url))

    return bucket


def _trusted(session: AioSession) -> ssl.SSLContext:
    authorities = session.get_config_variable("ca_bundle") or get_cert_path(verify=True)
    return ssl.create_default_context(cafile=authorities)


def _path(endpoint: str) -> str:
    return urlsplit(endpoint).path or "/"


def _proxy(endpoint: str) -> str | None:
    """Return the proxy's URL from the environment, as the SDK does: `host:port` alone means http."""
    proxies = ProxyConfiguration(proxies=get_environ_proxies(endpoint))
    proxy: str | None = proxies.proxy_url_for(endpoint)
    return proxy
