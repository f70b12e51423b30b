"""Scrapes the metrics of a process."""

from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from cli.local import readiness
from harness.reserved_port import ReservedPort
from harness.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Scrape:
    """The text of one scrape."""

    text: str

    def value(self, name: str, **labels: str) -> float | None:
        """Return the sum of the samples with this name and at least these labels; None if there are none."""
        values = [
            sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(values) if values else None


class MetricsPort:
    """A reserved metrics port. Give `settings` to the process."""

    def __init__(self) -> None:
        self._held = ReservedPort()
        self._port = self._held.number

    @property
    def settings(self) -> dict[str, str]:
        return {"METRICS_HOST": "127.0.0.1", "METRICS_PORT": str(self._port)}

    async def until_served(self) -> None:
        await readiness.http_ok(f"http://127.0.0.1:{self._port}/metrics")

    async def scrape(self) -> Scrape:
        status, text = await self.get("/metrics")
        assert status == 200
        return Scrape(text)

    async def until(self, condition: Callable[[Scrape], bool]) -> Scrape:
        """Scrape until the page meets a condition, and return it. A process that is starting has an empty page."""
        page = Scrape("")

        async def met() -> bool:
            nonlocal page
            try:
                page = await self.scrape()
            except aiohttp.ClientConnectionError:
                page = Scrape("")
            return condition(page)

        await wait_for(met, lambda: f"never on the page:\n{page.text}")
        return page

    async def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self._port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()
