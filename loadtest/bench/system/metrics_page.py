"""Reading a process's own metrics."""

import asyncio
from collections import Counter
from collections.abc import Callable

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_POLL_S = 0.1
_PATIENCE_S = 300.0


class MetricsPage:
    """One process's /metrics. Counters start with the process."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._url = f"http://{environment['METRICS_HOST']}:{environment['METRICS_PORT']}/metrics"

    async def read(self) -> list[Sample]:
        async with aiohttp.ClientSession() as session, session.get(self._url) as response:
            text = await response.text()
        families = text_string_to_metric_families(text)
        return [sample for family in families for sample in family.samples]

    async def aws_calls(self) -> Counter[str]:
        """Calls to AWS by operation, whatever came of them."""
        totals: Counter[str] = Counter()
        for sample in await self.read():
            if sample.name == "aws_calls_total":
                totals[sample.labels["operation"]] += int(sample.value)
        return totals

    async def _finished(self) -> int:
        """Requests COMPLETED, told of and deleted: 0 while anything is held."""
        samples = await self.read()
        if any(each.value for each in samples if each.name == "consumer_in_flight_messages"):
            return 0
        return sum(
            int(each.value)
            for each in samples
            if each.name == "consumer_ended_requests_total" and each.labels["state"] == "COMPLETED"
        )

    async def until_ready(self, check: Callable[[], None]) -> None:
        """Return once it answers. Raises TimeoutError, and what `check` raises when there is no hope."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                check()
                try:
                    await self.aws_calls()
                except aiohttp.ClientError:
                    await asyncio.sleep(_POLL_S)
                else:
                    return

    async def until_finished(self, count: int, check: Callable[[], None]) -> None:
        """Return once so many requests are COMPLETED and no message is held. Raises as `until_ready`."""
        async with asyncio.timeout(_PATIENCE_S):
            while await self._finished() < count:
                check()
                await asyncio.sleep(_POLL_S)
