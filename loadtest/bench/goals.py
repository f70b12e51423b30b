"""All goals of the benchmarks, the same on every AWS: what each figure must reach, and what we aim at.

Ratios are ours over the other's.
"""

from loadtest.bench.goal import Goal

DURABLE_OVER_EMPTY = Goal(2.0, aim=1.3)
"""Server CPU."""
OVER_BATCHES_OF_ONE = Goal(3.5, aim=5.0, at_least=True)
"""Requests a second."""
BULK_OVER_UNARY = Goal(0.5, aim=0.33)
"""Server CPU."""
OVER_IMG2DATASET = Goal(1.1, aim=0.6)
"""Consumer CPU."""
CALLS_PER_IMAGE = Goal(2.0, aim=1.6)
PRICE_PER_MILLION = Goal(8.0, aim=7.7)
"""USD."""
WATCH_P99 = Goal(1_000, aim=250)
"""Milliseconds."""
PUSHED_P99 = Goal(100, aim=25)
"""Milliseconds, with Redis."""
SEARCH_P99 = Goal(500, aim=100)
"""Milliseconds, among a million images; after two seconds a search engine counts as down."""
FLAT = Goal(1.1)
"""Our reading of flat: what ten and a hundred times as many rows may cost over the fewest."""
MEMORY = Goal(1.2)
"""After ten times the work."""
