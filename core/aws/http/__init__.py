"""The short way to AWS for the few calls that are made for every image.

The SDK's own path costs a multiple of the work it does: generic serialising, event hooks, a signing key derived
anew each time. Here the same request is built for one known shape. Endpoint, region, credentials and proxies are the
SDK's, and so are the errors: whoever calls cannot tell which way a call went. docs/adr/0006 has the reasons.
"""

from core.aws.http.client import Limits
from core.aws.http.json_protocol import JsonService
from core.aws.http.s3 import ObjectStore
from core.aws.http.session import Wire, open_http_clients, open_sqs_client
from core.aws.http.sns import Publisher

__all__ = [
    "JsonService",
    "Limits",
    "ObjectStore",
    "Publisher",
    "Wire",
    "open_http_clients",
    "open_sqs_client",
]
