"""A real Prometheus that scrapes and evaluates rules every second."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from cli.local.embedded_aws import free_port
from cluster.control_plane.program import Program
from cluster.dashboards.rules import RULE_FILES, groups

_INTERVAL = "1s"
_POLL_S = 0.25


def required(program: str) -> Path:
    """Return the path of a program of Debian's prometheus. A missing program is an error, not a skip."""
    found = shutil.which(program)
    if found is None:
        raise pytest.UsageError(f"{program} is not installed: apt-get install prometheus")
    return Path(found)


@dataclass(frozen=True, slots=True)
class Target:
    """A scrape target. `metrics` is a URL, `labels` are those that the operator adds; if empty, honor_labels is set."""

    job: str
    metrics: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def scrape(self) -> dict[str, Any]:
        host, _, path = self.metrics.removeprefix("http://").partition("/")
        return {
            "job_name": self.job,
            "metrics_path": f"/{path}",
            "honor_labels": not self.labels,
            "static_configs": [{"targets": [host], "labels": dict(self.labels)}],
        }


@dataclass(frozen=True, slots=True)
class Prometheus:
    url: str
    _session: aiohttp.ClientSession

    async def query(self, promql: str) -> list[dict[str, Any]]:
        """Run an instant query and return the series that are not NaN. Raises ValueError if Prometheus rejects it."""
        data = {"query": promql}
        async with self._session.post(f"{self.url}/api/v1/query", data=data) as response:
            answer = await response.json()
        if answer["status"] != "success":
            raise ValueError(f"{answer['error']}: {promql}")
        if answer["data"]["resultType"] == "scalar":
            return [{"value": answer["data"]["result"]}]
        return [each for each in answer["data"]["result"] if each["value"][1] != "NaN"]

    async def until(self, promql: str, *, seconds: float = 90) -> None:
        """Repeat a query until it has a result."""
        end = time.monotonic() + seconds
        while not await self.query(promql):
            assert time.monotonic() < end, f"still nothing after {seconds:g} s: {promql}"
            await asyncio.sleep(_POLL_S)

    async def value(self, promql: str) -> float:
        """Return the single number of a query."""
        (found,) = await self.query(promql)
        return float(found["value"][1])

    async def samples(self) -> dict[str, float]:
        """Return the number of samples in the last scrape of each job."""
        answer = await self.query("max by (job) (scrape_samples_scraped)")
        return {each["metric"]["job"]: float(each["value"][1]) for each in answer}


@asynccontextmanager
async def prometheus(folder: Path, targets: Iterable[Target]) -> AsyncIterator[Prometheus]:
    """Start Prometheus in `folder` with our rules, without their `interval` and `for`, which would take too long."""
    port = free_port()
    configuration = _configure(folder, targets)
    program = await Program.start(
        required("prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        name="prometheus",
        logs=folder,
        environment={},
    )
    try:
        url = f"http://127.0.0.1:{port}"
        await program.answers(f"{url}/-/ready")
        async with aiohttp.ClientSession() as session:
            yield Prometheus(url, session)
    finally:
        await program.stop()


def _configure(folder: Path, targets: Iterable[Target]) -> Path:
    for path in RULE_FILES:
        content = groups(path)
        for group in content["groups"]:
            group.pop("interval", None)
            for rule in group["rules"]:
                rule.pop("for", None)
        _write(folder / path.name, content)
    configuration = folder / "prometheus.yml"
    every = {
        "scrape_interval": _INTERVAL,
        "scrape_timeout": _INTERVAL,
        "evaluation_interval": _INTERVAL,
    }
    content = {
        "global": every,
        "rule_files": [path.name for path in RULE_FILES],
        "scrape_configs": [target.scrape() for target in targets],
    }
    _write(configuration, content)
    return configuration


def _write(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
