"""Blocked addresses, through the whole system."""

import asyncio
from collections import Counter

import grpc
import pytest

from harness.address_vectors import AddressVector, address_vectors
from harness.origin import origin
from harness.system import System
from imageservice.v1 import image_service_pb2 as pb

ROWS = address_vectors("blocked")


async def test_every_blocked_address_fails_directly_and_by_redirect(running: System) -> None:
    """Each blocked row of the vectors ends as FAILED BLOCKED_ADDRESS."""

    async with origin() as images:
        urls = [row.url() for row in ROWS]
        urls += [f"{images.base}/behave/redirect?to={row.url()}" for row in ROWS]
        ids = await asyncio.gather(*(running.submit(url) for url in urls))
        states = await running.wait_terminal(ids)
    ended = Counter(states[request_id].failure.code for request_id in ids)
    wrong = [
        (url, states[request_id])
        for url, request_id in zip(urls, ids, strict=True)
        if states[request_id].failure.code != pb.FAILURE_CODE_BLOCKED_ADDRESS
    ]
    assert not wrong, wrong[:3]
    assert ended == {pb.FAILURE_CODE_BLOCKED_ADDRESS: len(urls)}
    assert len(urls) >= 200


@pytest.mark.parametrize("row", address_vectors("odd"), ids=lambda row: repr(row.host))
async def test_ambiguous_spellings_of_addresses_are_rejected_at_submit(
    running: System, row: AddressVector
) -> None:
    """Parsers disagree on their meaning, so no other parser gets them."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await running.submit(row.url())
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
