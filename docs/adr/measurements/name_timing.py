"""Whether the time of a failed fetch tells a private name from one that does not exist.

    python docs/adr/measurements/name_timing.py [fetches of each kind]

Fetches both kinds in turn, with the system's resolver, and compares the times. `localhost` must be in /etc/hosts.
The last column is the probability that a fetch of the private name is slower than one of the missing name: 0.50 tells
nothing, 0.00 or 1.00 tells everything.
"""

import asyncio
import os
import statistics
import sys
import time

from consumer.fetching import fetcher as fetching
from consumer.fetching.fetcher import Fetcher, FetchPolicy
from core.errors import DnsFailed

PRIVATE, MISSING = "http://localhost/a.jpg", "http://missing.invalid/a.jpg"


async def seconds_of(fetcher: Fetcher, url: str) -> float:
    started = time.perf_counter()
    try:
        await fetcher.fetch(url)
    except DnsFailed:
        return time.perf_counter() - started
    raise AssertionError(f"{url} did not fail")


async def measure(floor: float, rounds: int) -> None:
    fetching.MIN_LOOKUP_S = floor
    times: dict[str, list[float]] = {PRIVATE: [], MISSING: []}
    fetcher = Fetcher(FetchPolicy())
    for number in range(rounds):
        for url in (PRIVATE, MISSING) if number % 2 else (MISSING, PRIVATE):
            times[url].append(1_000 * await seconds_of(fetcher, url))
    await fetcher.close()
    private, missing = times[PRIVATE], times[MISSING]
    slower = sum((a > b) + (a == b) / 2 for a in private for b in missing)
    medians = f"{statistics.median(private):.3f} | {statistics.median(missing):.3f}"
    share = slower / len(private) / len(missing)
    print(f"| {floor} s | {medians} | {share:.2f} |")  # noqa: T201 - a report


async def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    print("| shortest time | private, ms | missing, ms | private is slower |")  # noqa: T201
    print("|---|---|---|---|")  # noqa: T201
    for floor in (0.0, fetching.MIN_LOOKUP_S):
        await measure(floor, rounds)


# A query that the network loses is repeated before the attempt is over.
os.environ["RES_OPTIONS"] = "timeout:1 attempts:3"
asyncio.run(main())
