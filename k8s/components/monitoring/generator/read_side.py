"""Lists, images, status reads and searches: calls, caches, search engine and index."""

from k8s.components.monitoring.generator.dashboard import Dashboard, Row
from k8s.components.monitoring.generator.panel import Panel, Query, quantiles
from k8s.components.monitoring.generator.processes import process_panels

_READS = "GetStatus|ListRequests|GetImage|ListImages|SearchImages"
_ERRORS = "UNAVAILABLE|INTERNAL|UNKNOWN|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|DATA_LOSS"
_INDEXER = 'namespace="$namespace", deployment="imageservice-indexer"'

_CALLS = Row(
    "Read calls",
    (
        Panel(
            "Read calls",
            "Ended calls, by method.",
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
            "Time until the answer, by method. A page of a list reads several shards. A search queries the engine "
            "and then the table of images.",
            "s",
            quantiles(
                "grpc_server_handling_seconds",
                f'<server>, grpc_method=~"{_READS}"',
                "grpc_method",
                "{{grpc_method}}",
            ),
        ),
        Panel(
            "Error ratio",
            "Share of read calls that ended with a server error or a full server, by method. If only SearchImages "
            "is UNAVAILABLE, the cause is the search engine.",
            "percentunit",
            (
                Query(
                    "sum by (grpc_method) (rate(grpc_server_handled_total"
                    f'{{<server>, grpc_method=~"{_READS}|WatchRequest", grpc_code=~"{_ERRORS}"}}[$__rate_interval]))'
                    " / (sum by (grpc_method) (rate(grpc_server_handled_total"
                    f'{{<server>, grpc_method=~"{_READS}|WatchRequest"}}[$__rate_interval])) > 0)',
                    "{{grpc_method}}",
                ),
            ),
        ),
    ),
)

_CACHES = Row(
    "Status and caches",
    (
        Panel(
            "Status reads, by source",
            "Status reads of GetStatus and watches. memory: COMPLETED requests in the server. redis: if REDIS_URL "
            "is set. tables: read from DynamoDB, the only source that costs money.",
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
            "Cache hit ratio",
            "Share of status reads that needed no table. A PENDING request is always read from the table.",
            "percentunit",
            (
                Query(
                    '1 - sum(rate(status_reads_total{<server>, source="tables"}[$__rate_interval]))'
                    " / (sum(rate(status_reads_total{<server>}[$__rate_interval])) > 0)",
                    "cache hits",
                ),
            ),
        ),
        Panel(
            "Watched requests",
            "Distinct request ids that streams watch, by process. With Redis the server is notified of their end; "
            "without it the server polls.",
            "short",
            (Query("sum by (pod) (watched_requests{<server>})", "{{pod}}"),),
        ),
        Panel(
            "Redis calls",
            "By process, operation and outcome. Many documents share a call.",
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
            "Time of a call. A call that takes more than 0.1 s counts as an outage, and the tables are read "
            "instead.",
            "s",
            quantiles(
                "redis_call_seconds",
                'namespace="$namespace", job=~"imageservice-(server|consumer)"',
                "job, operation",
                "{{job}} {{operation}}",
            ),
        ),
        Panel(
            "Redis in use",
            "1 while Redis is used, by process and use: calls, and news (events about ended requests). No line if "
            "REDIS_URL is not set.",
            "none",
            (
                Query(
                    'min by (pod, use) (redis_up{namespace="$namespace", job=~"imageservice-(server|consumer)"})',
                    "{{pod}} {{use}}",
                ),
            ),
        ),
        Panel(
            "Dropped and malformed Redis events",
            "Documents and events that were dropped because Redis was down or slow, and malformed ones. Answers "
            "stay correct, because the tables are read.",
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
            "Search engine calls",
            "By process, operation and outcome. unavailable: no answer in time. refused: not sent, because the "
            "engine is known to be down.",
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
            "Latency of the search engine",
            "Time of a call, by process and operation. A search that takes longer than SEARCH_TIMEOUT_S is "
            "abandoned.",
            "s",
            quantiles(
                "search_engine_call_seconds", "<search>", "job, operation", "{{job}} {{operation}}"
            ),
        ),
        Panel(
            "Unanswered searches",
            "Share of the server's searches that the engine did not answer.",
            "percentunit",
            (
                Query(
                    "sum(rate(search_engine_calls_total"
                    '{<server>, operation="search", outcome=~"unavailable|refused"}[$__rate_interval]))'
                    ' / (sum(rate(search_engine_calls_total{<server>, operation="search"}[$__rate_interval])) > 0)',
                    "unanswered",
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
            "Indexing lag",
            "Time from the record of an image to its entry in the index, for recently written images.",
            "s",
            quantiles("indexer_lag_seconds", "<indexer>", "job", ""),
            limit=300,
        ),
        Panel(
            "Indexed images, by outcome",
            "indexed. stale: already in the index. gone: in no table. unavailable: retried later. rejected and "
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
            "Waiting events",
            "visible: waiting. in_flight: in process by an indexer. SQS reports approximate numbers.",
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
            "Indexer waiting",
            "1 while an indexer receives nothing, because the engine or a table does not answer.",
            "none",
            (Query("max by (pod) (indexer_waiting{<indexer>})", "{{pod}}"),),
        ),
        Panel(
            "Index incomplete",
            "1 while the index lacks images, because it was created empty although images existed. A reindex ends "
            "it.",
            "none",
            (Query("max by (pod) (search_index_incomplete{<indexer>})", "{{pod}}"),),
            limit=1,
        ),
        Panel(
            "Events received",
            "Including repeated events.",
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
            "Images per write",
            "Mean number of images per write to the engine. It grows with the load.",
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
            "desired: requested by KEDA, which follows the waiting events. ready: running.",
            "short",
            (
                Query(f"max(kube_deployment_spec_replicas{{{_INDEXER}}})", "desired"),
                Query(f"max(kube_deployment_status_replicas_ready{{{_INDEXER}}})", "ready"),
            ),
        ),
    ),
)

READ_SIDE = Dashboard(
    "read-side",
    "read side",
    "Lists, images, status reads and searches: calls, caches, search engine and index.",
    (
        _CALLS,
        _CACHES,
        _ENGINE,
        _INDEX,
        Row("Processes", process_panels("<indexer>", "indexers")),
    ),
)
