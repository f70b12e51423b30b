"""URLs of 8,190 bytes, through every store, call and answer of the system."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import AwsProxy, Forward, ProxiedCall, aws_proxy
from harness.origin import origin, redirect_to
from harness.stores import stores_of
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb

LONGEST = 8_190
LIMIT = 256 * 1_024
CUSTOMER = "c" * 128
LABELS = {f"{n}".rjust(64, "k"): "v" * 64 for n in range(10)}
FILLINGS = ("a", '"', "\\", "\u00e4", "\u202f", "\U0001f600")
"""ASCII, characters that JSON escapes once for each level of JSON, and characters of two to four bytes."""


def longest(base: str, filling: str) -> str:
    """Return a URL of LONGEST bytes; the filling is in the query, which the origin ignores."""
    count, rest = divmod(LONGEST - len(base) - 1, len(filling.encode()))
    return f"{base}?{'x' * rest}{filling * count}"


def bodies(call: ProxiedCall) -> list[str]:
    """Return the messages of a batch call to SQS or SNS."""
    if call.operation == "SendMessageBatch":
        return [entry["MessageBody"] for entry in json.loads(call.body)["Entries"]]
    if call.operation == "PublishBatch":
        form = parse_qs(call.body.decode())
        return [values[0] for name, values in form.items() if name.endswith(".Message")]
    return []


def measure_batches(proxy: AwsProxy) -> dict[str, list[int]]:
    """Return the bytes of the messages in each batch call, by operation."""
    sizes: dict[str, list[int]] = {}

    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        size = sum(len(body.encode()) for body in bodies(call))
        sizes.setdefault(call.operation, []).append(size)
        return await forward()

    proxy.hook = hook
    return sizes


async def submit_all(running: System, urls: list[str]) -> list[str]:
    async with running.stub() as stub:

        async def submit(url: str) -> str:
            request = pb.SubmitImageRequest(url=url, customer_id=CUSTOMER, labels=LABELS)
            return str((await stub.SubmitImage(request, timeout=60)).request_id)

        return await asyncio.gather(*map(submit, urls))


async def listed(running: System, **fields: Any) -> list[pb.ImageRequest]:
    """Return all requests of a list with the largest pages, read with the default limit of a client: 4 MiB."""
    found: list[pb.ImageRequest] = []
    async with running.stub() as stub:
        call = pb.ListRequestsRequest(customer_id=CUSTOMER, page_size=1_000, **fields)
        while True:
            page = await stub.ListRequests(call, timeout=60)
            found += page.requests
            call.page_token = page.next_page_token
            if not call.page_token:
                return found


def ten_of_each(*bases: str) -> Iterator[str]:
    for base in bases:
        for filling in FILLINGS:
            yield from [longest(base, filling)] * 10


async def test_requests_with_the_longest_urls_end_and_are_told(embedded_aws: RecordingAws) -> None:
    """Images, failures and redirects: states, lists and notifications have the URL as it was sent."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        sizes = measure_batches(proxy)
        images.serve("/away", redirect_to(longest(images.image_url(2), "r")))
        await running.start_server()
        urls = list(ten_of_each(images.image_url(1), images.url("/none"), images.url("/away")))
        ids = await submit_all(running, urls)
        await running.start_consumer()
        states = await running.wait_terminal(ids)
        sent = dict(zip(ids, urls, strict=True))
        assert {each: states[each].url for each in ids} == sent
        ended = Counter(state.state for state in states.values())
        assert ended == {pb.STATE_COMPLETED: 120, pb.STATE_FAILED: 60}
        assert all(dict(state.labels) == LABELS for state in states.values())
        final = {state.image.metadata.provenance.final_url for state in states.values()}
        assert {len(each) for each in final} == {0, LONGEST}
        assert {each.request_id: each.url for each in await listed(running)} == sent
        notified = await stores.notifications(f"{each}:2" for each in ids)
        assert {each.sent["requestId"]: each.sent["url"] for each in notified} == sent
        records = await stores.failed_requests(60)
        assert {each["request_id"]: each["url"] for each in records}.items() <= sent.items()
        for operation in ("SendMessageBatch", "PublishBatch"):
            assert LIMIT / 2 < max(sizes[operation]) <= LIMIT
        again = [each["request_id"] for each in records][:1]
        assert await running.run_operator("retry-failed", "--request-id", *again) == 0
        assert (await running.wait_terminal(again))[again[0]].revision == 4


async def test_a_list_of_the_longest_urls_has_no_page_above_the_limit_of_clients(
    embedded_aws: RecordingAws,
) -> None:
    """700 such requests have 6 MB, and a client accepts 4 MiB."""
    async with system(embedded_aws) as running:
        await running.start_server()
        urls = [longest("http://example.test/", FILLINGS[n % len(FILLINGS)]) for n in range(700)]
        ids = await submit_all(running, urls)
        for fields in ({}, {"state": pb.STATE_PENDING}):
            found = await listed(running, **fields)
            assert Counter(each.request_id for each in found) == Counter(ids)
