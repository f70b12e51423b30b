"""The queues and the number of pods."""

from k8s.components.monitoring.generator.dashboard import Dashboard, Row
from k8s.components.monitoring.generator.panel import Panel, Query, quantiles

_CONSUMER = 'namespace="$namespace", deployment="imageservice-consumer"'
_CONSUMER_HPA = 'namespace="$namespace", horizontalpodautoscaler="keda-hpa-imageservice-consumer"'
_SERVER = 'namespace="$namespace", deployment="imageservice-server"'
_SERVER_HPA = 'namespace="$namespace", horizontalpodautoscaler="imageservice-server"'
_RECONCILE = 'namespace="$namespace", cronjob="imageservice-reconcile"'
# No namespace: with the scrape configuration of KEDA's chart this label is the namespace of KEDA.
_SCALER = 'scaledObject="imageservice-consumer"'

_QUEUES = Row(
    "Queues",
    (
        Panel(
            "Requests in the queues",
            "requests: the interactive lane. bulk: the lane for imports. visible: waiting. in_flight: in process. "
            "delayed: requeued with a delay. SQS reports approximate numbers.",
            "short",
            (
                Query(
                    'max by (queue, state) (queue_messages{<exporter>, queue=~"requests|bulk"})',
                    "{{queue}} {{state}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Failed requests and DLQ",
            "failed_requests: a record of each FAILED request, for retry-failed; it grows with customers' mistakes. "
            "dlq: messages that SQS moved to the dead-letter queue of requests; it is empty in normal operation.",
            "short",
            (
                Query(
                    'max by (queue) (queue_messages{<exporter>, queue=~"failed_requests|dlq", state="visible"})',
                    "{{queue}}",
                ),
            ),
        ),
        Panel(
            "Time to empty",
            "The backlog of both lanes divided by the current rate of ended requests. No value if no request ended.",
            "s",
            (
                Query(
                    'imageservice:backlog:messages{namespace="$namespace"} / on (namespace) '
                    "(sum by (namespace) (rate(consumer_ended_requests_total{<consumer>}[$__rate_interval])) > 0)",
                    "time to empty",
                ),
            ),
        ),
        Panel(
            "Age of the oldest message",
            "Of the interactive messages in process, since it was last sent.",
            "s",
            (
                Query(
                    'max by (pod) (consumer_oldest_message_age_seconds{<consumer>, lane="interactive"})',
                    "{{pod}}",
                ),
            ),
            limit=900,
        ),
        Panel(
            "Age at receive",
            "Time that messages waited in their queue since they were last sent, by lane.",
            "s",
            quantiles("consumer_queue_age_seconds", "<consumer>", "lane", "{{lane}}"),
        ),
        Panel(
            "Failed readings",
            "Readings of a queue that SQS did not answer. The depth is unknown until it does.",
            "cps",
            (
                Query(
                    'sum by (queue) (rate(queue_read_failures_total{<exporter>, deprecated=""}[$__rate_interval]))',
                    "{{queue}}",
                ),
            ),
        ),
    ),
)

_CONSUMERS = Row(
    "Consumers",
    (
        Panel(
            "Backlog",
            "The metric that KEDA scales by: messages that wait and messages in flight, by lane. The lane that needs "
            "more pods decides.",
            "short",
            (
                Query(
                    'imageservice:lane_depth:messages{namespace="$namespace"}',
                    "{{lane}}",
                ),
            ),
        ),
        Panel(
            "Replicas",
            "desired: requested by the autoscaler. ready: running. The services behind the consumer set the "
            "maximum.",
            "short",
            (
                Query(
                    f"max(kube_horizontalpodautoscaler_status_desired_replicas{{{_CONSUMER_HPA}}})",
                    "desired",
                ),
                Query(f"max(kube_deployment_spec_replicas{{{_CONSUMER}}})", "desired"),
                Query(f"max(kube_deployment_status_replicas_ready{{{_CONSUMER}}})", "ready"),
                Query(
                    f"max(kube_horizontalpodautoscaler_spec_max_replicas{{{_CONSUMER_HPA}}})",
                    "maximum",
                ),
            ),
        ),
        Panel(
            "Metric of KEDA",
            "The value that KEDA reports to the autoscaler, by trigger, which has the name of its lane.",
            "short",
            (
                Query(
                    f"max by (scaler) (keda_scaler_metrics_value{{{_SCALER}}})",
                    "{{scaler}}",
                ),
            ),
        ),
        Panel(
            "KEDA scaler active",
            "1 while there are messages; 0 lets the deployment scale to its minimum after the cooldown.",
            "none",
            (Query(f"max by (scaler) (keda_scaler_active{{{_SCALER}}})", "{{scaler}}"),),
        ),
        Panel(
            "KEDA errors",
            "Failed readings of a queue. After several in a row KEDA uses its fallback.",
            "cps",
            (
                Query(
                    f"sum by (scaler) (rate(keda_scaler_detail_errors_total{{{_SCALER}}}[$__rate_interval]))",
                    "{{scaler}}",
                ),
                Query(
                    f"sum by (scaledObject) (rate(keda_scaled_object_errors_total{{{_SCALER}}}[$__rate_interval]))",
                    "all of the ScaledObject",
                ),
            ),
        ),
        Panel(
            "KEDA latency",
            "Time of the last reading of each queue.",
            "s",
            (
                Query(
                    f"max by (scaler) (keda_scaler_metrics_latency_seconds{{{_SCALER}}})",
                    "{{scaler}}",
                ),
            ),
        ),
    ),
)

_SERVERS = Row(
    "Servers and budgets",
    (
        Panel(
            "Replicas of the server",
            "desired: requested by the autoscaler, by CPU. ready: serving.",
            "short",
            (
                Query(
                    f"max(kube_horizontalpodautoscaler_status_desired_replicas{{{_SERVER_HPA}}})",
                    "desired",
                ),
                Query(f"max(kube_deployment_status_replicas_ready{{{_SERVER}}})", "ready"),
                Query(
                    f"max(kube_horizontalpodautoscaler_spec_max_replicas{{{_SERVER_HPA}}})",
                    "maximum",
                ),
            ),
        ),
        Panel(
            "Disruption budgets",
            "Pods that may be evicted now. At 0 the drain of a node with a healthy pod waits.",
            "short",
            (
                Query(
                    "kube_poddisruptionbudget_status_pod_disruptions_allowed"
                    '{namespace="$namespace", poddisruptionbudget=~"imageservice-.+"}',
                    "{{poddisruptionbudget}}",
                ),
            ),
        ),
        Panel(
            "Time since reconcile succeeded",
            "Time since the last successful run of the CronJob, or since its creation if no run has succeeded.",
            "s",
            (
                Query(
                    f"time() - (max(kube_cronjob_status_last_successful_time{{{_RECONCILE}}})"
                    f" or max(kube_cronjob_created{{{_RECONCILE}}}))",
                    "reconcile",
                ),
            ),
        ),
    ),
)

QUEUE_AND_SCALING = Dashboard(
    "queue-and-scaling",
    "queue and scaling",
    "The queues and the number of pods.",
    (_QUEUES, _CONSUMERS, _SERVERS),
)
