"""The lanes, the shares of customers, the limits of origins, and images that end a process."""

from k8s.components.monitoring.generator.dashboard import Dashboard, Row
from k8s.components.monitoring.generator.panel import Panel, Query, quantiles

_LANES = Row(
    "Lanes",
    (
        Panel(
            "Waiting messages, by lane",
            "Messages that wait in the queue of each lane. Bulk may wait.",
            "short",
            (Query('imageservice:lane_backlog:messages{namespace="$namespace"}', "{{lane}}"),),
        ),
        Panel(
            "Time to empty, by lane",
            "The backlog divided by the rate of the last half hour at which messages left the lane for good. Above six "
            "hours an alert opens a ticket for bulk.",
            "s",
            (Query('imageservice:lane_time_to_empty:seconds{namespace="$namespace"}', "{{lane}}"),),
        ),
        Panel(
            "Age at receive, by lane",
            "Time that messages waited in their queue since they were last sent, and the age of the oldest in process.",
            "s",
            (
                *quantiles("consumer_queue_age_seconds", "<consumer>", "lane", "{{lane}}"),
                Query(
                    "max by (lane) (consumer_oldest_message_age_seconds{<consumer>})",
                    "{{lane}} oldest held",
                ),
            ),
        ),
        Panel(
            "Slots by lane",
            "Slots of all consumers that messages of each lane use. all: CONCURRENCY of all consumers; customers below "
            "their share may use an eighth more.",
            "short",
            (
                Query("sum by (lane) (consumer_busy_slots{<consumer>})", "{{lane}}"),
                Query("sum(consumer_concurrency{<consumer>})", "all"),
            ),
        ),
        Panel(
            "Messages sent, by lane",
            "By the server. within_rate: the customer is within INTERACTIVE_RATE. beyond_rate: it is not. asked: the "
            "caller asked for bulk.",
            "cps",
            (
                Query(
                    "sum by (lane, reason) (rate(lane_messages_total{<server>}[$__rate_interval]))",
                    "{{lane}} {{reason}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Messages processed, by lane",
            "Messages that left their lane for good: received and not sent again.",
            "cps",
            (Query('imageservice:lane_processed:rate5m{namespace="$namespace"}', "{{lane}}"),),
        ),
    ),
)

_SHARES = Row(
    "Shares of customers",
    (
        Panel(
            "Messages over the share",
            "Messages whose customer held its share of the slots while all slots were taken. interactive: moved to "
            "bulk. bulk: sent again with a delay.",
            "cps",
            (
                Query(
                    "sum by (lane) (rate(consumer_given_back_messages_total"
                    '{<consumer>, reason="share"}[$__rate_interval]))',
                    "{{lane}}",
                ),
            ),
            width=12,
        ),
        Panel(
            "Refused calls, by limit",
            "Calls to servers that got RESOURCE_EXHAUSTED. share: the customer has its share of the limit while others "
            "want the rest. full: the reserve for other customers is used too.",
            "cps",
            (
                Query(
                    "sum by (kind, reason) (rate(refused_places_total{<server>}[$__rate_interval]))",
                    "{{kind}} {{reason}}",
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
            "Restricted origins",
            "Of the consumer with the most. rate: hosts whose rate was learned from the refusals of a customer's "
            "requests. hung_host: hosts that get one probe at a time of a customer. hung_address: addresses that do "
            "not answer.",
            "short",
            (
                Query(
                    "max by (condition) (consumer_restricted_origins{<consumer>})", "{{condition}}"
                ),
            ),
            width=12,
        ),
        Panel(
            "Messages that wait for their origin",
            "Messages requeued because of their host or its address, by reason. They spend no attempt.",
            "cps",
            (
                Query(
                    "sum by (reason) (rate(consumer_given_back_messages_total"
                    '{<consumer>, reason=~"host_.+|address_.+|dns_busy"}[$__rate_interval]))',
                    "{{reason}}",
                ),
            ),
            width=12,
            stacked=True,
        ),
        Panel(
            "Consumers with a faulty credentials file",
            "Consumers that found a fault in CREDENTIALS_FILE after it was changed. They use the version before.",
            "short",
            (Query("sum(consumer_faulty_credentials_file{<consumer>})", "consumers"),),
            width=12,
        ),
    ),
)

_CRASHES = Row(
    "Images that end a process",
    (
        Panel(
            "Images decoded alone",
            "Messages that were received again without a requeue, so a process may have died while it held them. Their "
            "images are decoded alone, beside all other work.",
            "cps",
            (
                Query(
                    "sum by (lane) (rate(consumer_received_messages_total"
                    '{<consumer>, kind="suspect"}[$__rate_interval]))',
                    "{{lane}}",
                ),
            ),
            width=12,
        ),
        Panel(
            "Decoders that died",
            "died: by itself. killed: by a SIGKILL that was not ours. cpu_limit, stalled: its image exceeded a limit. "
            "An image that ends its decoder twice, or too many processes, is CRASHED.",
            "cps",
            (
                Query(
                    "sum by (reason) (rate(consumer_decoder_ends_total"
                    '{<consumer>, reason=~"died|killed|cpu_limit|stalled"}[$__rate_interval]))',
                    "{{reason}}",
                ),
            ),
            width=12,
        ),
    ),
)

LANES_AND_ORIGINS = Dashboard(
    "lanes-and-origins",
    "lanes and origins",
    "How customers share the system, and how origins limit it.",
    (_LANES, _SHARES, _ORIGINS, _CRASHES),
)
