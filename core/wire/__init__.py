"""The short way to AWS for the few calls that are made for every image.

The SDK's own path costs a multiple of the work it does: generic serialising, event hooks, a signing key derived
anew each time. Here the same request is built for one known shape. Endpoint, region, credentials and proxies are the
SDK's, and so are the errors: whoever calls cannot tell which way a call went. docs/adr/0006 has the reasons.
"""

from core.wire.exchange import Limits
from core.wire.json_service import JsonService
from core.wire.object_store import ObjectStore
from core.wire.publisher import Publisher
from core.wire.wire import Wire, open_wire

__all__ = ["JsonService", "Limits", "ObjectStore", "Publisher", "Wire", "open_wire"]
