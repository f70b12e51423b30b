"""The worker: what it takes in, how long each step lasts, how it ends."""

from k8s.components.monitoring.generator.dashboard import Dashboard, Row
from k8s.components.monitoring.generator.panel import Panel, Query, quantiles
from k8s.components.monitoring.generator.processes import process_panels

_MESSAGES = Row(
    "Messages",
    (
        Panel(
            "Received",
            "first: never handed out before. again: given back or sent anew. suspect: it may have killed its process, "
            "and runs alone. malformed: not a message of ours; it is left to the redrive policy and ends in the DLQ.",
            "cps",
            (
                Query(
                    "sum by (kind) (rate(consumer_received_messages_total{<consumer>}[$__rate_interval]))",
                    "{{kind}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Let out of hand",
            "finished: ended and deleted. given_back: to be tried later. let_go: a fault of ours; it comes back when "
            "its visibility lapses.",
            "cps",
            (
                Query(
                    "sum by (outcome) (rate(consumer_process_duration_seconds_count{<consumer>}[$__rate_interval]))",
                    "{{outcome}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Given back, by reason",
            "outage: AWS failed. drain: the pod ended. host_busy: one host has its share of us. The others are "
            "failure codes, of an origin that asks for patience, or that is given some before its last attempt.",
            "cps",
            (
                Query(
                    "sum by (reason) (rate(consumer_given_back_messages_total{<consumer>}[$__rate_interval]))",
                    "{{reason}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Held, of those that may be",
            "Share of its slots that a consumer uses. Near 100 % with a backlog, more pods help; with idle slots and a "
            "backlog, something else holds it up.",
            "percentunit",
            (
                Query(
                    "sum by (pod) (consumer_in_flight_messages{<consumer>})"
                    " / sum by (pod) (consumer_concurrency{<consumer>})",
                    "{{pod}}",
                ),
            ),
        ),
        Panel(
            "How long a message is held",
            "From its receive until it was finished, given back or let go.",
            "s",
            quantiles("consumer_process_duration_seconds", "<consumer>", "outcome", "{{outcome}}"),
        ),
        Panel(
            "Age at receive",
            "How long messages waited in the queue, since they were last sent; the oldest that is held; and how long "
            "requests have been PENDING at most, however often their messages were sent.",
            "s",
            (
                *quantiles("consumer_queue_age_seconds", "<consumer>", "job", ""),
                Query("max(consumer_oldest_message_age_seconds{<consumer>})", "oldest held"),
                Query("max(consumer_oldest_pending_age_seconds{<consumer>})", "longest PENDING"),
            ),
        ),
    ),
)

_STEPS = Row(
    "Steps",
    (
        Panel(
            "Time of each step",
            "fetch → inspect → store → record → complete → notify. Fetch includes the waits between attempts.",
            "s",
            quantiles("consumer_step_seconds", "<consumer>", "step", "{{step}}"),
            width=12,
        ),
        Panel(
            "Where the time goes",
            "Seconds that all messages together spend in each step, a second: how many slots a step takes.",
            "short",
            (
                Query(
                    "sum by (step) (rate(consumer_step_seconds_sum{<consumer>}[$__rate_interval]))",
                    "{{step}}",
                ),
            ),
            width=12,
            stacked=True,
        ),
        Panel(
            "Ended",
            "Requests, by state and failure code.",
            "reqps",
            (
                Query(
                    "sum by (state, failure_code) "
                    "(rate(consumer_ended_requests_total{<consumer>}[$__rate_interval]))",
                    "{{state}} {{failure_code}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Attempts that failed",
            "Attempts to fetch, those that were tried again included, by failure code.",
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
            "Bytes",
            "Bodies fetched from origins, and objects stored.",
            "Bps",
            (
                Query(
                    "sum(rate(consumer_fetched_bytes_total{<consumer>}[$__rate_interval]))",
                    "fetched",
                ),
                Query(
                    "sum(rate(consumer_stored_bytes_total{<consumer>}[$__rate_interval]))", "stored"
                ),
            ),
        ),
    ),
)

_TROUBLE = Row(
    "Trouble",
    (
        Panel(
            "Outage",
            "1 while a consumer finds an AWS service down and does not receive, by process.",
            "none",
            (Query("max by (pod) (consumer_outage{<consumer>})", "{{pod}}"),),
        ),
        Panel(
            "Heartbeats that failed",
            "Calls that could not extend the visibility of what is held. After several, messages are received twice.",
            "cps",
            (
                Query(
                    "sum by (pod) (rate(consumer_heartbeat_failures_total{<consumer>}[$__rate_interval]))",
                    "{{pod}}",
                ),
            ),
        ),
        Panel(
            "Restarts",
            "Restarts of the consumers' containers in the last hour. A picture that kills its process shows here.",
            "short",
            (
                Query(
                    "sum by (pod) (increase(kube_pod_container_status_restarts_total"
                    '{namespace="$namespace", pod=~"imageservice-consumer-.+"}[1h]))',
                    "{{pod}}",
                ),
            ),
        ),
    ),
)

CONSUMER = Dashboard(
    "consumer",
    "consumer",
    "The worker: what it takes in, how long each step lasts, how it ends.",
    (_MESSAGES, _STEPS, _TROUBLE, Row("Processes", process_panels("<consumer>", "consumers"))),
)
