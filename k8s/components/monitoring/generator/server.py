"""The gRPC server: calls, errors, latency, and work in flight."""

from k8s.components.monitoring.generator.dashboard import Dashboard, Row
from k8s.components.monitoring.generator.panel import Panel, Query, quantiles
from k8s.components.monitoring.generator.processes import process_panels

_ERRORS = "UNAVAILABLE|INTERNAL|UNKNOWN|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|DATA_LOSS"

_CALLS = Row(
    "Calls",
    (
        Panel(
            "Calls started",
            "By method. A stream of submits is one call, however many items it has.",
            "reqps",
            (
                Query(
                    "sum by (grpc_method) (rate(grpc_server_started_total{<server>}[$__rate_interval]))",
                    "{{grpc_method}}",
                ),
            ),
        ),
        Panel(
            "Calls ended, by code",
            "OK and errors. INVALID_ARGUMENT, NOT_FOUND and ALREADY_EXISTS are faults of the caller.",
            "reqps",
            (
                Query(
                    "sum by (grpc_method, grpc_code) "
                    "(rate(grpc_server_handled_total{<server>}[$__rate_interval])) > 0",
                    "{{grpc_method}} {{grpc_code}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Error ratio",
            "Share of calls that ended with a server error or a full server, by method.",
            "percentunit",
            (
                Query(
                    "sum by (grpc_method) (rate(grpc_server_handled_total"
                    f'{{<server>, grpc_code=~"{_ERRORS}"}}[$__rate_interval]))'
                    " / sum by (grpc_method) (rate(grpc_server_handled_total{<server>}[$__rate_interval]))",
                    "{{grpc_method}}",
                ),
            ),
        ),
        Panel(
            "Stream items, by code",
            "Items that SubmitImages answered.",
            "cps",
            (
                Query(
                    "sum by (grpc_code) (rate(grpc_server_items_total"
                    '{<server>, grpc_method="SubmitImages"}[$__rate_interval])) > 0',
                    "{{grpc_code}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Latency of unary calls",
            "Time until the answer. Streams have no latency: they last as long as the caller wants.",
            "s",
            quantiles(
                "grpc_server_handling_seconds",
                '<server>, grpc_type="unary"',
                "grpc_method",
                "{{grpc_method}}",
            ),
            limit=0.25,
        ),
        Panel(
            "Duration of watches",
            "From the start of a WatchRequest to its end.",
            "s",
            quantiles(
                "grpc_server_handling_seconds",
                '<server>, grpc_method="WatchRequest"',
                "grpc_method",
                "",
            ),
        ),
    ),
)

_IN_FLIGHT = Row(
    "In flight",
    (
        Panel(
            "Submits in flight",
            "Accepted and not yet answered, by process. Above MAX_PENDING_SUBMITS a SubmitImage is "
            "RESOURCE_EXHAUSTED.",
            "short",
            (Query("sum by (pod) (pending_submits{<server>})", "{{pod}}"),),
        ),
        Panel(
            "Paused submit streams",
            "Streams of submits that the server does not read now, because the limit of the stream or of the server "
            "is in flight.",
            "short",
            (Query("sum by (pod) (paused_submit_streams{<server>})", "{{pod}}"),),
        ),
        Panel(
            "Watched requests",
            "Distinct request ids that streams watch. Each is read every 0.25 s to 30 s, depending on its age.",
            "short",
            (Query("sum by (pod) (watched_requests{<server>})", "{{pod}}"),),
        ),
        Panel(
            "Latency of AWS calls",
            "Time of a call, including all attempts. A submit waits for one call to DynamoDB and one to SQS.",
            "s",
            quantiles("aws_call_seconds", "<server>", "operation", "{{operation}}"),
        ),
        Panel(
            "Items per batch",
            "Mean number of items per call. It grows with the load; an idle server sends each item alone.",
            "short",
            (
                Query(
                    "sum by (commit) (rate(group_commit_batch_size_sum{<server>}[$__rate_interval]))"
                    " / sum by (commit) (rate(group_commit_batch_size_count{<server>}[$__rate_interval]))",
                    "{{commit}}",
                ),
            ),
        ),
        Panel(
            "Open files",
            "Mostly connections, by process, and the limit.",
            "short",
            (
                Query("sum by (pod) (process_open_fds{<server>})", "{{pod}}"),
                Query("min(process_max_fds{<server>})", "limit"),
            ),
        ),
    ),
)

SERVER = Dashboard(
    "server",
    "server",
    "The gRPC server: calls, errors, latency, and work in flight.",
    (_CALLS, _IN_FLIGHT, Row("Processes", process_panels("<server>", "servers"))),
)
