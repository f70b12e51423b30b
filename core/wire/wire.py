"""One process's short ways to AWS, opened with what the SDK knows."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.session import AioSession
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from core.wire.exchange import Exchange, Limits
from core.wire.json_service import JsonService
from core.wire.object_store import ObjectStore, bucket_url
from core.wire.publisher import Publisher
from core.wire.signature import Scope

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

_IDLE_S = 12
"""Seconds that an unused connection is kept, as by the SDK; S3 closes after 20."""

ExchangeWith = Callable[[Any, str], Exchange]


@dataclass(frozen=True, slots=True)
class Wire:
    """`dynamodb` and `sqs` call any operation, `sns` publishes, `bucket` answers the way to one bucket."""

    dynamodb: JsonService
    sqs: JsonService
    sns: Publisher
    bucket: Callable[[str], ObjectStore]


@asynccontextmanager
async def open_wire(
    session: AioSession,
    limits: Limits,
    *,
    dynamodb: "DynamoDBClient",
    sqs: "SQSClient",
    s3: "S3Client",
    sns: "SNSClient",
) -> AsyncIterator[Wire]:
    """Endpoints, regions and protocols are those of the SDK's clients; credentials and certificates the session's."""
    credentials = await session.get_credentials()
    async with _connector(session, limits) as connector:

        def exchange_with(client: Any, endpoint: str) -> Exchange:
            return Exchange(
                endpoint,
                Scope(client.meta.region_name, client.meta.service_model.signing_name),
                connector=connector,
                credentials=credentials,
                limits=limits,
                proxy=_proxy(endpoint),
            )

        def bucket(name: str) -> ObjectStore:
            url = bucket_url(s3.meta.endpoint_url, name)
            return ObjectStore(exchange_with(s3, url), urlsplit(url).path)

        yield Wire(
            dynamodb=_json_service(dynamodb, exchange_with),
            sqs=_json_service(sqs, exchange_with),
            sns=Publisher(
                exchange_with(sns, sns.meta.endpoint_url),
                version=sns.meta.service_model.api_version,
            ),
            bucket=bucket,
        )


def _json_service(client: Any, exchange_with: ExchangeWith) -> JsonService:
    metadata = client.meta.service_model.metadata
    return JsonService(
        exchange_with(client, client.meta.endpoint_url),
        prefix=metadata["targetPrefix"],
        version=metadata["jsonVersion"],
    )


def _connector(session: AioSession, limits: Limits) -> aiohttp.TCPConnector:
    authorities = session.get_config_variable("ca_bundle") or get_cert_path(verify=True)
    return aiohttp.TCPConnector(
        limit=limits.connections,
        keepalive_timeout=_IDLE_S,
        ssl=ssl.create_default_context(cafile=authorities),
    )


def _proxy(endpoint: str) -> str | None:
    proxies: dict[str, str] = get_environ_proxies(endpoint)
    return proxies.get(urlsplit(endpoint).scheme)
