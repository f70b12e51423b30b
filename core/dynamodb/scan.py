"""Reads one page of a table in no order."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from core.aws.client import call
from core.aws.http import JsonService
from core.dynamodb.answers import Page, decode_page


async def scan(dynamodb: JsonService, members: Mapping[str, Any]) -> Page:
    """Make one Scan, with a Limit in its members. Raises DependencyUnavailable or RequestRejected."""
    decode = partial(decode_page, members["Limit"])
    return await call("dynamodb:Scan", dynamodb.invoke("Scan", members), decode)
