"""The gRPC front door: who calls, how it is answered, what is under way."""

from k8s.components.monitoring.generator.dashboard import Dashboard, Row
from k8s.components.monitoring.generator.panel import Panel, Query, quantiles
from k8s.components.monitoring.generator.processes import process_panels

_FAULTS = "UNAVAILABLE|INTERNAL|UNKNOWN|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|DATA_LOSS"

_CALLS = Row(
    "Calls",
    (
        Panel(
            "Calls begun",
            "By method. A stream of submits is one call, however many items it carries.",
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
            "OK and what was refused. INVALID_ARGUMENT, NOT_FOUND and ALREADY_EXISTS are the callers' affair.",
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
            "Share of faults",
            "Calls that ended by a fault of ours or for want of room, of all that ended, by method.",
            "percentunit",
            (
                Query(
                    "sum by (grpc_method) (rate(grpc_server_handled_total"
                    f'{{<server>, grpc_code=~"{_FAULTS}"}}[$__rate_interval]))'
                    " / sum by (grpc_method) (rate(grpc_server_handled_total{<server>}[$__rate_interval]))",
                    "{{grpc_method}}",
                ),
            ),
        ),
        Panel(
            "Items of streams, by code",
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
            "Time until the answer. Streams have none: they last as long as their callers want.",
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
            "How long watches last",
            "From a WatchRequest's begin to its end.",
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

_UNDER_WAY = Row(
    "Under way",
    (
        Panel(
            "Submits under way",
            "Taken and not answered yet, by process. Beyond MAX_PENDING_SUBMITS a SubmitImage is RESOURCE_EXHAUSTED.",
            "short",
            (Query("sum by (pod) (pending_submits{<server>})", "{{pod}}"),),
        ),
        Panel(
            "Streams that are held back",
            "Streams of submits that are not read at present: their limit, or the server's, is under way.",
            "short",
            (Query("sum by (pod) (paused_submit_streams{<server>})", "{{pod}}"),),
        ),
        Panel(
            "Watched requests",
            "Distinct ids that streams watch. Each is read between every 0.25 s and 30 s, by its age.",
            "short",
            (Query("sum by (pod) (watched_requests{<server>})", "{{pod}}"),),
        ),
        Panel(
            "AWS as the server finds it",
            "Time of a call, the SDK's tries included. A submit waits for one of each.",
            "s",
            quantiles("aws_call_seconds", "<server>", "operation", "{{operation}}"),
        ),
        Panel(
            "Batches",
            "Mean number of items that shared a call. It grows with the load; an idle server sends each alone.",
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
            "Connections, mostly, by process; and how many there may be.",
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
    "The gRPC front door: who calls, how it is answered, what is under way.",
    (_CALLS, _UNDER_WAY, Row("Processes", process_panels("<server>", "servers"))),
)
