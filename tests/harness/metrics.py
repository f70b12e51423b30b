"""A process's /metrics as a scraper sees it."""

from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from cli.local import readiness
from harness.reserved_port import ReservedPort
from harness.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Scrape:
    """One page. Nothing is what is not there."""

    text: str

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the samples of this name that have at least these labels; None where there is none."""
        values = [
            sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(values) if values else None


class MetricsPort:
    """A port for one process, to be given to it by `settings`."""

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
        """Return the first page that meets a condition. A process that is not up yet has an empty page."""
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
