"""How a rebuild reads the table of images: patiently, and what is there."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from core.dynamodb.image_scan import ImageScan
from core.errors import DependencyUnavailable
from core.resilience.retry import MAX_ATTEMPTS
from harness.virtual_time import run_virtually

PAGES = 10
THROTTLED = "ProvisionedThroughputExceededException"


@dataclass(slots=True)
class Table:
    """Pages of one row. `failures` tells how often in a row the read of a page fails."""

    failures: dict[int, int]
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def scan(self, **arguments: Any) -> dict[str, Any]:
        self.asked.append(arguments)
        page = arguments.get("ExclusiveStartKey", 0)
        if self.failures.get(page):
            self.failures[page] -= 1
            raise ClientError({"Error": {"Code": THROTTLED, "Message": "slow down"}}, "Scan")
        answer = {"Items": [{"page": page}], "ScannedCount": 1}
        return answer if page + 1 == PAGES else {**answer, "LastEvaluatedKey": page + 1}


async def read(table: Table) -> list[int]:
    """The pages that were read, in order."""
    scan = ImageScan(cast("Any", table), "images", segments=1, rate=1_000)
    return [cast("int", item["page"]) async for items in scan.pages(0) for item in items]


def test_a_failed_read_is_repeated_where_it_was() -> None:
    """A throttled call, or seven, throws no rebuild of hours away: no page is read twice, none is left out."""
    assert run_virtually(read(Table({0: 1, 4: MAX_ATTEMPTS - 1, 9: 2}))) == list(range(PAGES))


def test_what_stays_down_ends_the_scan() -> None:
    """After eight tries of one page."""
    table = Table({4: MAX_ATTEMPTS})
    with pytest.raises(DependencyUnavailable, match=THROTTLED):
        run_virtually(read(table))
    assert len(table.asked) == 4 + MAX_ATTEMPTS


def test_what_was_just_recorded_is_seen() -> None:
    """A replica may lack an image that no event will tell of any more."""
    table = Table({})
    run_virtually(read(table))
    assert all(each["ConsistentRead"] for each in table.asked)
