"""HTTP clients for all AWS calls of server and consumer.

The SDK's clients cost several times the CPU time for a call: generic serialisation, event hooks, a signing key
derived for each request. Their parser raises errors of all kinds for an answer of another shape. These clients build
the same request for one known shape. They take endpoint, region, credentials and proxies from the SDK and raise its
errors, so callers cannot tell the difference. See docs/adr/0006.
"""

from core.aws.http.client import Limits
from core.aws.http.json_protocol import JsonService
from core.aws.http.s3 import ObjectStore
from core.aws.http.session import AwsHttpClients, open_http_clients, open_sqs_client
from core.aws.http.sns import Publisher

__all__ = [
    "AwsHttpClients",
    "JsonService",
    "Limits",
    "ObjectStore",
    "Publisher",
    "open_http_clients",
    "open_sqs_client",
]
