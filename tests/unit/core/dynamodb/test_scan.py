"""How a reindex reads the images table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from core.dynamodb.scan import ImageScan
from core.errors import DependencyUnavailable
from core.resilience.retry import MAX_ATTEMPTS
from harness.virtual_time import run_virtually

PAGES = 10
THROTTLED = "ProvisionedThroughputExceededException"


@dataclass(slots=True)
class Table:
    """Pages of one row. `failures` has the number of consecutive failures per page."""

    failures: dict[int, int]
    calls: list[dict[str, Any]] = field(default_factory=list)

    async def invoke(self, _operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append(dict(members))
        page = members.get("ExclusiveStartKey", {"page": 0})["page"]
        if self.failures.get(page):
            self.failures[page] -= 1
            raise ClientError({"Error": {"Code": THROTTLED, "Message": "slow down"}}, "Scan")
        answer = {"Items": [{"page": page}], "Count": 1, "ScannedCount": 1}
        return answer if page + 1 == PAGES else {**answer, "LastEvaluatedKey": {"page": page + 1}}


async def read(table: Table) -> list[int]:
    """Return the pages that were read, in order."""
    scan = ImageScan(cast("Any", table), "images", segments=1, rate=1_000)
    return [cast("int", item["page"]) async for items in scan.pages(0) for item in items]


def test_a_failed_read_is_retried() -> None:
    """Throttled calls do not end a reindex of hours. No page is read twice, and none is left out."""
    assert run_virtually(read(Table({0: 1, 4: MAX_ATTEMPTS - 1, 9: 2}))) == list(range(PAGES))


def test_an_outage_ends_the_scan() -> None:
    """It ends after eight attempts at one page."""
    table = Table({4: MAX_ATTEMPTS})
    with pytest.raises(DependencyUnavailable, match=THROTTLED):
        run_virtually(read(table))
    assert len(table.calls) == 4 + MAX_ATTEMPTS


def test_the_scan_is_strongly_consistent() -> None:
    """A replica may lack a new image whose event has already been processed."""
    table = Table({})
    run_virtually(read(table))
    assert all(each["ConsistentRead"] for each in table.calls)
