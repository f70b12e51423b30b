"""Read the Prometheus metrics of a process."""

import asyncio
from collections import Counter
from collections.abc import Callable

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_POLL_S = 0.1
_TIMEOUT_S = 300.0


class MetricsPage:
    """The /metrics endpoint of one process. Counters start at 0 with the process."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._url = f"http://{environment['METRICS_HOST']}:{environment['METRICS_PORT']}/metrics"

    async def read(self) -> list[Sample]:
        async with aiohttp.ClientSession() as session, session.get(self._url) as response:
            text = await response.text()
        families = text_string_to_metric_families(text)
        return [sample for family in families for sample in family.samples]

    async def aws_calls(self) -> Counter[str]:
        """Return the number of AWS calls by operation, whatever their outcome."""
        totals: Counter[str] = Counter()
        for sample in await self.read():
            if sample.name == "aws_calls_total":
                totals[sample.labels["operation"]] += int(sample.value)
        return totals

    async def total(self, name: str) -> int:
        """Return the sum of a counter over its labels."""
        return sum(int(sample.value) for sample in await self.read() if sample.name == name)

    async def _finished(self) -> int:
        """Return the number of COMPLETED requests, or 0 while a message is in flight."""
        samples = await self.read()
        if any(each.value for each in samples if each.name == "consumer_in_flight_messages"):
            return 0
        return sum(
            int(each.value)
            for each in samples
            if each.name == "consumer_ended_requests_total" and each.labels["state"] == "COMPLETED"
        )

    async def until_ready(self, check: Callable[[], None]) -> None:
        """Wait until it answers. `check` raises if the process has ended. Raises TimeoutError."""
        async with asyncio.timeout(_TIMEOUT_S):
            while True:
                check()
                try:
                    await self.aws_calls()
                except aiohttp.ClientError:
                    await asyncio.sleep(_POLL_S)
                else:
                    return

    async def until_finished(self, count: int, check: Callable[[], None]) -> None:
        """Wait until `count` requests are COMPLETED and no message is in flight. Raises as `until_ready`."""
        finished = 0
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                while (finished := await self._finished()) < count:
                    check()
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            text = f"{finished} of {count} requests are COMPLETED after {_TIMEOUT_S:g} s"
            raise TimeoutError(text) from None
