"""How old the oldest message of a queue is: below that, a PENDING request may simply be waiting its turn."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from core.aws.client import call
from core.aws.sqs import SqsQueue

if TYPE_CHECKING:
    from types_aiobotocore_cloudwatch import CloudWatchClient

_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_WINDOW = timedelta(minutes=15)
_LONGEST_RETENTION_S = 1_209_600.0
"""SQS's longest retention, for a queue that tells none of its own."""


async def oldest_age(queue: SqsQueue, cloudwatch: "CloudWatchClient", queue_url: str) -> float:
    """Seconds, erring on the old side.

    0 for an empty queue. Otherwise CloudWatch's ApproximateAgeOfOldestMessage; where that has no
    figure, the queue's retention period, beyond which no message can exist.
    """
    attributes = await queue.attributes(*_COUNTS, "MessageRetentionPeriod")
    if not any(int(attributes[name]) for name in _COUNTS):
        return 0
    measured = await _measured_age(cloudwatch, queue_url.rsplit("/", 1)[-1])
    if measured is not None:
        return measured
    return float(attributes.get("MessageRetentionPeriod", _LONGEST_RETENTION_S))


async def _measured_age(cloudwatch: "CloudWatchClient", queue_name: str) -> float | None:
    now = datetime.now(UTC)
    response = await call(
        "cloudwatch:GetMetricData",
        cloudwatch.get_metric_data(
            MetricDataQueries=[
                {
                    "Id": "age",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": "AWS/SQS",
                            "MetricName": "ApproximateAgeOfOldestMessage",
                            "Dimensions": [{"Name": "QueueName", "Value": queue_name}],
                        },
                        "Period": 60,
                        "Stat": "Maximum",
                    },
                }
            ],
            StartTime=now - _WINDOW,
            EndTime=now,
        ),
    )
    values = [value for result in response["MetricDataResults"] for value in result["Values"]]
    return max(values) if values else None
