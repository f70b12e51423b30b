"""Calls to AWS and origins, resource usage, and cost."""

from k8s.components.monitoring.generator.dashboard import Dashboard, Row
from k8s.components.monitoring.generator.panel import Panel, Query, quantiles
from k8s.components.monitoring.generator.processes import process_panels

_AWS = Row(
    "AWS",
    (
        Panel(
            "AWS calls",
            "By operation. All attempts of a call count as one.",
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
            "Failed AWS calls",
            "By operation and error code, or kind of error.",
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
            "Throttled attempts",
            "Attempts of whole calls that AWS throttled, each counted. Most succeed at the next attempt.",
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
            "Latency of AWS calls",
            "Time of a call, including all attempts. ReceiveMessage is a long poll and waits for messages.",
            "s",
            quantiles("aws_call_seconds", "<processes>", "operation", "{{operation}}"),
            width=12,
        ),
        Panel(
            "Items per batch",
            "Mean number of items per call. Larger batches cost less.",
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
            "Retried batch items",
            "Items that a successful batch call did not accept, and that a later call sent again. DynamoDB, SQS and "
            "SNS throttle single items, which the throttled attempts do not count.",
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
            "AWS calls per image",
            "All calls of servers and consumers per ended request. Idle long polls count too.",
            "short",
            (
                Query(
                    "sum(rate(aws_calls_total{<processes>}[$__rate_interval]))"
                    " / (sum(rate(consumer_ended_requests_total{<consumer>}[$__rate_interval])) > 0)",
                    "calls per image",
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
            "Failed fetch attempts",
            "By failure code, including attempts that were followed by another one. If one code rises, the cause is "
            "one origin, or our network.",
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
            "All attempts and the delays between them.",
            "s",
            quantiles("consumer_step_seconds", '<consumer>, step="fetch"', "step", ""),
        ),
        Panel(
            "Size of an image",
            "Mean number of bytes of a completely fetched body.",
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
            "Cost per hour, by service",
            "Calls and writes at list prices. Not included: storage, traffic, compute, and the reads of watched "
            "requests.",
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
            "Over the last hour, per million completed images.",
            "currencyUSD",
            (
                Query(
                    'imageservice:cost_per_image_usd{namespace="$namespace"} * 1000000',
                    "per million images",
                ),
            ),
            limit=8,
        ),
        Panel(
            "Writes per image",
            "DynamoDB write units per ended request: 4 for a COMPLETED request, including the indexes.",
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
    "Calls to AWS and origins, resource usage, and cost.",
    (_AWS, _ORIGINS, _COST, Row("Processes", process_panels("<processes>", "processes"))),
)
