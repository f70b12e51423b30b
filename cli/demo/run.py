"""Submit the items and follow each until it ends."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cli.client.client import MAX_WATCHED_IDS, TERMINAL, CallFailed, Client
from cli.demo.items import Item
from cli.output.outcome import COMPLETED, RequestView
from imageservice.v1 import image_service_pb2 as pb

CUSTOMER = "demo"


@dataclass(frozen=True, slots=True)
class Result:
    item: Item
    outcome: RequestView
    seconds: float
    """From submit to end, as this client saw it."""

    @property
    def ended(self) -> str:
        """COMPLETED, the failure code, or the reason of a refused call."""
        if self.outcome.error is not None:
            return self.outcome.error.reason
        return self.outcome.failure_code or self.outcome.state or ""

    @property
    def expected(self) -> bool:
        return self.ended == self.item.expected

    @property
    def published(self) -> bool:
        return self.outcome.state == COMPLETED


async def submit_and_follow(
    client: Client, items: Sequence[Item], report: Callable[[Result], None]
) -> list[Result]:
    """Submit at most 100 items (one watch) and follow them. `report` gets each result; the list keeps the order."""
    if len(items) > MAX_WATCHED_IDS:
        raise ValueError(f"{len(items)} items are more than one watch follows")
    results: dict[str, Result] = {}
    begun: dict[str, float] = {}
    submitted: dict[str, Item] = {}

    def ended(item: Item, outcome: RequestView) -> None:
        results[item.url] = Result(item, outcome, time.monotonic() - begun[item.url])
        report(results[item.url])

    for item in items:
        begun[item.url] = time.monotonic()
        request_id = str(uuid.uuid4())
        try:
            await client.submit(
                pb.SubmitImageRequest(
                    url=item.url,
                    customer_id=CUSTOMER,
                    request_id=request_id,
                    labels=item.labels,
                    renditions=item.renditions,
                )
            )
            submitted[request_id] = item
        except CallFailed as refused:
            ended(item, RequestView(request_id, item.url, error=refused.fault))
    if submitted:
        async for request in client.watch(list(submitted)):
            if request.state in TERMINAL:
                ended(submitted[request.request_id], RequestView.of(request))
    return [results[item.url] for item in items]
