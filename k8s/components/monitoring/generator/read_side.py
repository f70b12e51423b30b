"""Who asks for what there is: lists, images, states, searches; what answers them, and how far behind search is."""

from k8s.components.monitoring.generator.dashboard import Dashboard, Row
from k8s.components.monitoring.generator.panel import Panel, Query, quantiles
from k8s.components.monitoring.generator.processes import process_panels

_READS = "GetStatus|ListRequests|GetImage|ListImages|SearchImages"
_FAULTS = "UNAVAILABLE|INTERNAL|UNKNOWN|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|DATA_LOSS"
_INDEXER = 'namespace="$namespace", deployment="imageservice-indexer"'

_CALLS = Row(
    "Calls that read",
    (
        Panel(
            "Reads",
            "Calls that ended, by method.",
            "reqps",
            (
                Query(
                    "sum by (grpc_method) (rate(grpc_server_handled_total"
                    f'{{<server>, grpc_method=~"{_READS}|WatchRequest"}}[$__rate_interval]))',
                    "{{grpc_method}}",
                ),
            ),
        ),
        Panel(
            "Latency of reads",
            "Time until the answer, by method. A page of a list reads several shards; a search asks the engine, and "
            "then the table of images.",
            "s",
            quantiles(
                "grpc_server_handling_seconds",
                f'<server>, grpc_method=~"{_READS}"',
                "grpc_method",
                "{{grpc_method}}",
            ),
        ),
        Panel(
            "Share of faults",
            "Reads that ended by a fault of ours or for want of room, of all that ended, by method. UNAVAILABLE of "
            "SearchImages alone is the engine.",
            "percentunit",
            (
                Query(
                    "sum by (grpc_method) (rate(grpc_server_handled_total"
                    f'{{<server>, grpc_method=~"{_READS}|WatchRequest", grpc_code=~"{_FAULTS}"}}[$__rate_interval]))'
                    " / (sum by (grpc_method) (rate(grpc_server_handled_total"
                    f'{{<server>, grpc_method=~"{_READS}|WatchRequest"}}[$__rate_interval])) > 0)',
                    "{{grpc_method}}",
                ),
            ),
        ),
    ),
)

_CACHES = Row(
    "States and caches",
    (
        Panel(
            "States, by where they were found",
            "Of requests that GetStatus and watches asked for. memory: COMPLETED ones in the server. redis: where "
            "REDIS_URL is set. tables: read from DynamoDB, which alone costs.",
            "reqps",
            (
                Query(
                    "sum by (source) (rate(status_reads_total{<server>}[$__rate_interval]))",
                    "{{source}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Reads of tables that caches save",
            "Share of the states that were asked for and found without a table. What is PENDING can only be read.",
            "percentunit",
            (
                Query(
                    '1 - sum(rate(status_reads_total{<server>, source="tables"}[$__rate_interval]))'
                    " / (sum(rate(status_reads_total{<server>}[$__rate_interval])) > 0)",
                    "saved",
                ),
            ),
        ),
        Panel(
            "Watched requests",
            "Distinct ids that streams watch, by process. With Redis their ends are told; without, they are polled.",
            "short",
            (Query("sum by (pod) (watched_requests{<server>})", "{{pod}}"),),
        ),
        Panel(
            "Calls to Redis",
            "By process, operation and outcome. Many documents share one.",
            "reqps",
            (
                Query(
                    "sum by (job, operation, outcome) "
                    '(rate(redis_calls_total{namespace="$namespace", job=~"imageservice-(server|consumer)"}'
                    "[$__rate_interval]))",
                    "{{job}} {{operation}} {{outcome}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Latency of Redis",
            "Time of a call. Slower than a tenth of a second it counts as down, and the tables are read instead.",
            "s",
            quantiles(
                "redis_call_seconds",
                'namespace="$namespace", job=~"imageservice-(server|consumer)"',
                "job, operation",
                "{{job}} {{operation}}",
            ),
        ),
        Panel(
            "Redis is used",
            "1 while it is, by process and use: calls, and news of ends. No line where REDIS_URL is not set.",
            "none",
            (
                Query(
                    'min by (pod, use) (redis_up{namespace="$namespace", job=~"imageservice-(server|consumer)"})',
                    "{{pod}} {{use}}",
                ),
            ),
        ),
        Panel(
            "Not told to Redis, or not understood",
            "Documents and news that were dropped because Redis was down or slow, and such as are none of ours. Nobody "
            "misses them: the tables are read.",
            "cps",
            (
                Query(
                    'sum by (job) (rate(redis_dropped_total{namespace="$namespace", '
                    'job=~"imageservice-(server|consumer)"}[$__rate_interval]))',
                    "{{job}} dropped",
                ),
                Query(
                    'sum by (job) (rate(redis_malformed_total{namespace="$namespace", '
                    'job=~"imageservice-(server|consumer)"}[$__rate_interval]))',
                    "{{job}} malformed",
                ),
            ),
        ),
    ),
)

_ENGINE = Row(
    "Search engine",
    (
        Panel(
            "Calls to the engine",
            "By process, operation and outcome. unavailable: no answer, or too late. refused: not called, because it "
            "is known to be down.",
            "reqps",
            (
                Query(
                    "sum by (job, operation, outcome) (rate(search_engine_calls_total{<search>}[$__rate_interval]))",
                    "{{job}} {{operation}} {{outcome}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Latency of the engine",
            "Time of a call, by process and operation. A search that takes longer than SEARCH_TIMEOUT_S is given up.",
            "s",
            quantiles(
                "search_engine_call_seconds", "<search>", "job, operation", "{{job}} {{operation}}"
            ),
        ),
        Panel(
            "Searches without an answer",
            "Share of the server's searches that the engine did not answer.",
            "percentunit",
            (
                Query(
                    "sum(rate(search_engine_calls_total"
                    '{<server>, operation="search", outcome=~"unavailable|refused"}[$__rate_interval]))'
                    ' / (sum(rate(search_engine_calls_total{<server>, operation="search"}[$__rate_interval])) > 0)',
                    "without an answer",
                ),
            ),
            limit=0.5,
        ),
    ),
)

_INDEX = Row(
    "Index",
    (
        Panel(
            "How far search is behind",
            "Time from an image's record to its place in the index, of what was written just now.",
            "s",
            quantiles("indexer_lag_seconds", "<indexer>", "job", ""),
            limit=300,
        ),
        Panel(
            "Images, by what became of them",
            "indexed. stale: the index had it already. gone: no table has it. unavailable: again later. rejected and "
            "malformed end in the search DLQ.",
            "cps",
            (
                Query(
                    "sum by (outcome) (rate(indexer_documents_total{<indexer>}[$__rate_interval]))",
                    "{{outcome}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Events that wait",
            "visible: waiting. in_flight: held by an indexer. As SQS approximates.",
            "short",
            (
                Query(
                    'max by (state) (queue_messages{<exporter>, queue="search"})',
                    "{{state}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Search DLQ",
            "Events whose image the engine rejected, and malformed events. It is empty in normal operation.",
            "short",
            (
                Query(
                    'max(queue_messages{<exporter>, queue="search_dlq", state="visible"})',
                    "search DLQ",
                ),
            ),
            limit=1,
        ),
        Panel(
            "Waiting",
            "1 while an indexer receives nothing because the engine, or a table, does not answer it.",
            "none",
            (Query("max by (pod) (indexer_waiting{<indexer>})", "{{pod}}"),),
        ),
        Panel(
            "Incomplete",
            "1 while the index lacks images, because it was made empty when there were some already. Reindex ends it.",
            "none",
            (Query("max by (pod) (search_index_incomplete{<indexer>})", "{{pod}}"),),
            limit=1,
        ),
        Panel(
            "Events received",
            "Repeated ones included.",
            "cps",
            (
                Query(
                    "sum by (pod) (rate(indexer_received_messages_total{<indexer>}[$__rate_interval]))",
                    "{{pod}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Images a write",
            "Mean number of images that shared one write to the engine. It grows with the load.",
            "short",
            (
                Query(
                    "sum by (pod) (rate(indexer_batch_size_sum{<indexer>}[$__rate_interval]))"
                    " / (sum by (pod) (rate(indexer_batch_size_count{<indexer>}[$__rate_interval])) > 0)",
                    "{{pod}}",
                ),
            ),
        ),
        Panel(
            "Indexers",
            "asked for: by KEDA, which follows the events that wait. ready: what works.",
            "short",
            (
                Query(f"max(kube_deployment_spec_replicas{{{_INDEXER}}})", "asked for"),
                Query(f"max(kube_deployment_status_replicas_ready{{{_INDEXER}}})", "ready"),
            ),
        ),
    ),
)

READ_SIDE = Dashboard(
    "read-side",
    "read side",
    "Who asks for what there is, what answers them, and how far behind search is.",
    (
        _CALLS,
        _CACHES,
        _ENGINE,
        _INDEX,
        Row("Processes", process_panels("<indexer>", "indexers")),
    ),
)
