"""What we stand on, AWS and the origins, what it takes of us, and what it costs."""

from k8s.components.monitoring.generator.dashboard import Dashboard, Row
from k8s.components.monitoring.generator.panel import Panel, Query, quantiles
from k8s.components.monitoring.generator.processes import process_panels

_AWS = Row(
    "AWS",
    (
        Panel(
            "Calls",
            "By operation. Tries within a call are one.",
            "reqps",
            (
                Query(
                    "sum by (operation) (rate(aws_calls_total{<processes>}[$__rate_interval]))",
                    "{{operation}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Calls that failed",
            "By operation, and by the code or kind of the error.",
            "reqps",
            (
                Query(
                    "sum by (operation, outcome) "
                    '(rate(aws_calls_total{<processes>, outcome!="ok"}[$__rate_interval]))',
                    "{{operation}} {{outcome}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Throttled tries",
            "Whole calls that AWS refused because there were too many, each try by itself. Most succeed at the next.",
            "reqps",
            (
                Query(
                    "sum by (operation) (rate(aws_throttles_total{<processes>}[$__rate_interval]))",
                    "{{operation}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Latency",
            "Time of a call, its tries included. ReceiveMessage waits for messages, which is its purpose.",
            "s",
            quantiles("aws_call_seconds", "<processes>", "operation", "{{operation}}"),
            width=12,
        ),
        Panel(
            "Batches",
            "Mean number of items that shared a call. The larger, the cheaper.",
            "short",
            (
                Query(
                    "sum by (job, commit) (rate(group_commit_batch_size_sum"
                    '{<processes>, deprecated=""}[$__rate_interval]))'
                    " / sum by (job, commit) (rate(group_commit_batch_size_count"
                    '{<processes>, deprecated=""}[$__rate_interval]))',
                    "{{job}} {{commit}}",
                ),
            ),
            width=12,
        ),
        Panel(
            "Items sent once more",
            "Items of a batch that a successful call did not take, and that went into a later one: DynamoDB, SQS and "
            "SNS throttle items, which the throttled tries do not count.",
            "cps",
            (
                Query(
                    "sum by (job, commit) (rate(group_commit_retried_items_total"
                    '{<processes>, deprecated=""}[$__rate_interval]))',
                    "{{job}} {{commit}}",
                ),
            ),
            width=12,
        ),
        Panel(
            "Calls an image",
            "All calls of servers and consumers, for each request that ended. Idle long polls count as well.",
            "short",
            (
                Query(
                    "sum(rate(aws_calls_total{<processes>}[$__rate_interval]))"
                    " / (sum(rate(consumer_ended_requests_total{<consumer>}[$__rate_interval])) > 0)",
                    "calls an image",
                ),
            ),
            width=12,
        ),
    ),
)

_ORIGINS = Row(
    "Origins",
    (
        Panel(
            "Attempts that failed",
            "By failure code, those that were tried again included. A rise of one code is one origin, or our network.",
            "cps",
            (
                Query(
                    "sum by (failure_code) (rate(consumer_fetch_failures_total{<consumer>}[$__rate_interval]))",
                    "{{failure_code}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Time to fetch",
            "All attempts and the waits between them.",
            "s",
            quantiles("consumer_step_seconds", '<consumer>, step="fetch"', "step", ""),
        ),
        Panel(
            "Size of a picture",
            "Mean bytes of a body that was fetched whole.",
            "bytes",
            (
                Query(
                    "sum(rate(consumer_fetched_bytes_total{<consumer>}[$__rate_interval])) / "
                    '(sum(rate(consumer_step_seconds_count{<consumer>, step="fetch"}[$__rate_interval])) > 0)',
                    "mean",
                ),
            ),
        ),
    ),
)

_COST = Row(
    "Cost at list prices",
    (
        Panel(
            "Cost an hour, by service",
            "Calls and writes at list prices. Without storage, traffic, compute, and the reads of watched requests.",
            "currencyUSD",
            (
                Query(
                    'sum by (service) (imageservice:aws_cost_usd:rate5m{namespace="$namespace"}) * 3600',
                    "{{service}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Cost of a million images",
            "Over the last hour, for each million images completed.",
            "currencyUSD",
            (
                Query(
                    'imageservice:cost_per_image_usd{namespace="$namespace"} * 1000000',
                    "a million images",
                ),
            ),
            limit=8,
        ),
        Panel(
            "Writes an image",
            "Write units of DynamoDB for each request that ended: 4 where an image is completed, its indexes included.",
            "short",
            (
                Query(
                    'imageservice:dynamodb_write_units:rate5m{namespace="$namespace"} / on (namespace) '
                    "(sum by (namespace) (rate(consumer_ended_requests_total{<consumer>}[5m])) > 0)",
                    "write units",
                ),
            ),
        ),
    ),
)

DEPENDENCIES_AND_COST = Dashboard(
    "dependencies-and-cost",
    "dependencies and cost",
    "What we stand on, AWS and the origins, what it takes of us, and what it costs.",
    (_AWS, _ORIGINS, _COST, Row("Processes", process_panels("<processes>", "processes"))),
)
