"""The customer tag: a keyed hash of a customer's id, for object keys and logs, which must not reveal the customer."""

import hashlib
import hmac
from functools import lru_cache

_TAG_HEX = 20


# A process works for few customers at a time, and the hash takes longer than the lookup.
@lru_cache(maxsize=4_096)
def customer_tag(secret: bytes, customer_id: str) -> str:
    """Return the tag, 20 hexadecimal digits. `secret` is the setting CUSTOMER_TAG_KEY."""
    return hmac.new(secret, customer_id.encode(), hashlib.sha256).hexdigest()[:_TAG_HEX]
