"""Service level objectives, requests and cost."""

from k8s.components.monitoring.generator.dashboard import Dashboard, Row
from k8s.components.monitoring.generator.panel import Panel, Query

_BUDGET = "on (slo) group_left () (1 - imageservice:slo_objective:ratio)"

_OBJECTIVES = Row(
    "Objectives",
    (
        Panel(
            "Error budget left",
            "Share of the error budget of 30 days that is left, by objective: 100 % is untouched, 0 is spent. With "
            "less than 30 days of data it covers the available time.",
            "percentunit",
            (
                Query(
                    'imageservice:slo_error_budget_remaining:ratio{namespace="$namespace"}',
                    "{{slo}}",
                ),
            ),
            kind="stat",
            width=12,
        ),
        Panel(
            "Objectives met in the last 6 hours",
            "Share of submits that were answered (availability), of SubmitImage calls within 250 ms (latency), of "
            "interactive requests that ended within 5 minutes of acceptance (freshness), and of requests that did not "
            "end by a fault of ours (outcome).",
            "percentunit",
            (Query('1 - imageservice:slo_errors:ratio_rate6h{namespace="$namespace"}', "{{slo}}"),),
            kind="stat",
            width=12,
        ),
        Panel(
            "Burn rate, 1 hour",
            "How many times faster than allowed the error budget is spent. Above 14.4 an alert pages, unless there "
            "were fewer than five bad events.",
            "none",
            (
                Query(
                    f'imageservice:slo_errors:ratio_rate1h{{namespace="$namespace"}} / {_BUDGET}',
                    "{{slo}}",
                ),
            ),
            limit=14.4,
        ),
        Panel(
            "Burn rate, 3 days",
            "The same over 3 days. Above 1 the budget will not last the month, and an alert opens a ticket.",
            "none",
            (
                Query(
                    f'imageservice:slo_errors:ratio_rate3d{{namespace="$namespace"}} / {_BUDGET}',
                    "{{slo}}",
                ),
            ),
            limit=1,
        ),
        Panel(
            "Alerts",
            "Firing and pending alerts. docs/runbook.md has an entry for each.",
            "none",
            (
                Query(
                    'sort_desc(count by (alertname, severity, alertstate) (ALERTS{alertname=~"Imageservice.+"}))',
                    "",
                ),
            ),
            kind="table",
        ),
    ),
)

_REQUESTS = Row(
    "Requests",
    (
        Panel(
            "Requests accepted and ended",
            "Accepted: submits answered OK, including repeated ids. Ended: COMPLETED or FAILED.",
            "reqps",
            (
                Query(
                    'sum(rate(grpc_server_handled_total{<server>, grpc_method="SubmitImage", grpc_code="OK"}'
                    "[$__rate_interval])) + sum(rate(grpc_server_items_total{<server>, "
                    'grpc_method="SubmitImages", grpc_code="OK"}[$__rate_interval]))',
                    "accepted",
                ),
                Query(
                    "sum by (state) (rate(consumer_ended_requests_total{<consumer>}[$__rate_interval]))",
                    "{{state}}",
                ),
            ),
        ),
        Panel(
            "Failures by code",
            "Requests that consumers ended FAILED. Most codes are faults of the customer or the origin; INTERNAL, "
            "CRASHED and UNDELIVERABLE are ours. Requests that reconcile fails from the DLQ are only in its log.",
            "reqps",
            (
                Query(
                    "sum by (failure_code) (rate(consumer_ended_requests_total"
                    '{<consumer>, state="FAILED"}[$__rate_interval]))',
                    "{{failure_code}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Time to completion",
            "Time from the acceptance of an interactive request to its end.",
            "s",
            tuple(
                Query(
                    f"histogram_quantile({q}, sum by (le) (rate(consumer_request_seconds_bucket"
                    '{<consumer>, lane="interactive"}[$__rate_interval])))',
                    name,
                )
                for q, name in ((0.5, "median"), (0.9, "90 %"), (0.99, "99 %"))
            ),
            limit=300,
        ),
        Panel(
            "Latency of SubmitImage",
            "Time until a submit is answered, after the database and the queue have acknowledged it.",
            "s",
            tuple(
                Query(
                    f"histogram_quantile({q}, sum by (le) (rate(grpc_server_handling_seconds_bucket"
                    '{<server>, grpc_method="SubmitImage"}[$__rate_interval])))',
                    name,
                )
                for q, name in ((0.5, "median"), (0.9, "90 %"), (0.99, "99 %"))
            ),
            limit=0.25,
        ),
        Panel(
            "Waiting messages",
            "Messages that wait in the queue of each lane, and messages in the dead-letter queue (DLQ) of both.",
            "short",
            (
                Query('imageservice:lane_backlog:messages{namespace="$namespace"}', "{{lane}}"),
                Query(
                    'max(queue_messages{<exporter>, queue="dlq", state="visible"})',
                    "DLQ",
                ),
            ),
        ),
        Panel(
            "Age of the oldest message",
            "Of the interactive messages in process, since it was last sent. Above 15 minutes an alert pages.",
            "s",
            (
                Query(
                    'max(consumer_oldest_message_age_seconds{<consumer>, lane="interactive"})',
                    "oldest",
                ),
            ),
            limit=900,
        ),
        Panel(
            "Failed share by customer bucket",
            "Share of the requests ended in the last 10 minutes that FAILED, by a hash of the customer id. One line at "
            "the top is a customer with bad images; if most lines rise at once, the cause is ours, and an alert pages.",
            "percentunit",
            (
                Query(
                    'imageservice:customer_bucket_failed:ratio_increase10m{namespace="$namespace"}',
                    "{{customer_bucket}}",
                ),
            ),
            width=24,
            limit=0.5,
        ),
    ),
)

_COST = Row(
    "Cost",
    (
        Panel(
            "Cost of a million images",
            "Calls and writes at list prices over the last hour, per million completed images. Not included: "
            "storage, traffic, compute, and the reads of watched requests.",
            "currencyUSD",
            (
                Query(
                    'imageservice:cost_per_image_usd{namespace="$namespace"} * 1000000',
                    "per million images",
                ),
            ),
            kind="stat",
            width=12,
        ),
        Panel(
            "Cost per day at the current rate",
            "The same calls and writes, at the rate of the last 5 minutes.",
            "currencyUSD",
            (
                Query(
                    'sum(imageservice:aws_cost_usd:rate5m{namespace="$namespace"}) * 86400',
                    "per day",
                ),
            ),
            kind="stat",
            width=12,
        ),
    ),
)

OVERVIEW = Dashboard(
    "overview",
    "overview",
    "Service level objectives, requests and cost.",
    (_OBJECTIVES, _REQUESTS, _COST),
)
