"""The consumer: messages received, time of each step, outcomes."""

from k8s.components.monitoring.generator.dashboard import Dashboard, Row
from k8s.components.monitoring.generator.panel import Panel, Query, quantiles
from k8s.components.monitoring.generator.processes import process_panels

_MESSAGES = Row(
    "Messages",
    (
        Panel(
            "Messages received",
            "first: received for the first time. again: requeued or sent again. suspect: received before, so "
            "its process may have died; its image is decoded alone. malformed: not a message of ours; the redrive "
            "policy moves it to the DLQ.",
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
            "Messages released, by outcome",
            "finished: processed and deleted (ack). given_back: requeued for a later attempt. let_go: abandoned "
            "after an internal error; it is received again after the visibility timeout.",
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
            "Messages requeued, by reason",
            "outage: AWS failed. drain: the pod stopped. share: the customer had its share of the slots. "
            "host_busy: the host is at its concurrency limit. "
            "host_rate, host_refused: it accepts no more requests. host_hung, address_hung: it does not answer. "
            "address_new: its address has not answered yet. dns_busy: no thread is free to look up its name. "
            "decoders_busy: expensive images keep the decoders busy. "
            "Other reasons are failure codes: the origin asked for a delay, or the last attempt comes after a delay.",
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
            "Slots in use",
            "Share of a consumer's slots that are in use. Near 100 % with a backlog, more pods help. With free "
            "slots and a backlog, something else is the limit.",
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
            "Processing time of a message",
            "From its receive until its ack, requeue or abandonment.",
            "s",
            quantiles("consumer_process_duration_seconds", "<consumer>", "outcome", "{{outcome}}"),
        ),
        Panel(
            "Age at receive",
            "By lane: time that messages waited in their queue since they were last sent, and the age of the oldest "
            "message in process. The longest time that a request has been PENDING, however often it was requeued.",
            "s",
            (
                *quantiles("consumer_queue_age_seconds", "<consumer>", "lane", "{{lane}}"),
                Query(
                    "max by (lane) (consumer_oldest_message_age_seconds{<consumer>})",
                    "{{lane}} oldest held",
                ),
                Query(
                    "max by (lane) (consumer_oldest_pending_age_seconds{<consumer>})",
                    "{{lane}} longest PENDING",
                ),
            ),
        ),
    ),
)

_STEPS = Row(
    "Steps",
    (
        Panel(
            "Time of each step",
            "fetch → inspect → store → record → complete → notify. Fetch includes the delays between attempts.",
            "s",
            quantiles("consumer_step_seconds", "<consumer>", "step", "{{step}}"),
            width=12,
        ),
        Panel(
            "Slots used by each step",
            "Seconds per second that all messages together spend in each step, which is the number of slots that "
            "the step uses.",
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
            "Requests ended",
            "By state and failure code.",
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
            "Failed fetch attempts",
            "By failure code, including attempts that were followed by another one.",
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

_FAULTS = Row(
    "Faults",
    (
        Panel(
            "Outage",
            "1 while a consumer finds an AWS service down and does not receive, by process.",
            "none",
            (Query("max by (pod) (consumer_outage{<consumer>})", "{{pod}}"),),
        ),
        Panel(
            "Failed heartbeats",
            "Calls that could not extend the visibility timeout of messages in process. After several failures "
            "messages are received twice.",
            "cps",
            (
                Query(
                    "sum by (pod) (rate(consumer_heartbeat_failures_total{<consumer>}[$__rate_interval]))",
                    "{{pod}}",
                ),
            ),
        ),
        Panel(
            "Decoders that ended",
            "By reason: died, killed (by a SIGKILL that was not ours), cpu_limit, stalled and others, as the metric's "
            "help says. An image that ends its decoder twice is CRASHED.",
            "cps",
            (
                Query(
                    "sum by (reason) (rate(consumer_decoder_ends_total{<consumer>}[$__rate_interval]))",
                    "{{reason}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Expensive images",
            "Images that moved to the lane of expensive ones, by reason: size (of the body), charge (memory or "
            "pixels), cpu (time), again (a run ended its decoder).",
            "cps",
            (
                Query(
                    "sum by (reason) (rate(consumer_expensive_images_total{<consumer>}[$__rate_interval]))",
                    "{{reason}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Busy decoders",
            "Decoder processes that examine an image, by process.",
            "short",
            (Query("sum by (pod) (consumer_busy_decoders{<consumer>})", "{{pod}}"),),
        ),
        Panel(
            "Restarts",
            "Restarts of the consumer containers in the last hour. A message that kills its worker shows here.",
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
    "The consumer: messages received, time of each step, outcomes.",
    (_MESSAGES, _STEPS, _FAULTS, Row("Processes", process_panels("<consumer>", "consumers"))),
)
