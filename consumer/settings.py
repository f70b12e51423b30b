"""Settings of the consumer. docs/reference.md lists them; each is described where it is defined."""

import ipaddress
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from core.settings import CoreSettings, QueueSettings, QueueUrl

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MIB = 1024 * 1024


class RequestQueuesSettings(QueueSettings):
    """The queue of requests and the two queues behind it."""

    failed_requests_queue_url: QueueUrl = Field(
        validation_alias=AliasChoices("failed_requests_queue_url", "dead_letter_queue_url"),
        description="SQS queue that holds a record of each FAILED request (stack output FailedRequestsQueueUrl).",
    )
    dlq_url: QueueUrl = Field(
        validation_alias=AliasChoices("dlq_url", "undelivered_queue_url"),
        description="Dead-letter queue of the queue of requests: SQS moves a message there after MaxReceiveCount "
        "receives (stack output DlqUrl).",
    )


class ConsumerSettings(CoreSettings, RequestQueuesSettings):
    bucket: str = Field(description="S3 bucket of published images (stack output Bucket).")
    topic_arn: str = Field(
        pattern=r"^arn:[^:]+:sns:[^:]+:[^:]+:.+$",
        description="SNS topic of notifications (stack output TopicArn).",
    )
    customer_tag_key: SecretStr = Field(
        min_length=16,
        description="Secret with which customer ids are hashed into object keys. Keep it: another key stores repeated "
        "uploads under other names.",
    )
    retention_days: int = Field(
        0,
        ge=0,
        le=3_650,
        description="Days after its end at which a request's row expires, and its id and labels with it; the image "
        "stays. An id that is used again then is a new request, of any customer, with an image of its own. 0 keeps "
        "rows for ever.",
    )

    concurrency: int = Field(
        64, ge=1, le=1_000, description="Messages worked on at the same time by this process."
    )
    receive_wait_s: int = Field(
        5, ge=0, le=20, description="Long poll of one receive, in seconds. A drain waits for it."
    )
    drain_grace_s: float = Field(
        25,
        ge=0,
        description="Seconds after SIGTERM in which work may finish; what is left then is given back. "
        "Keep it, RECEIVE_WAIT_S and 25 s more, below the pod's grace period.",
    )
    max_attempts: int = Field(
        3, ge=1, le=10, description="How often an origin is asked for one image."
    )
    retry_delay_s: int = Field(
        30,
        ge=0,
        le=600,
        description="Seconds, a third more or less, before each attempt after the second; the last always comes after "
        "it. Meanwhile the message waits in the queue. 0 makes all attempts at once.",
    )
    max_isolated_runs: int = Field(
        2,
        validation_alias=AliasChoices("max_isolated_runs", "max_runs_alone"),
        ge=1,
        le=10,
        description="Runs begun alone, after a run that killed its process, before a request is FAILED CRASHED.",
    )

    allowed_networks: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="Private networks that origins may be in, as comma-separated CIDRs. None by default.",
    )
    allow_nat64: bool = Field(
        False,
        description="Allow NAT64 (64:ff9b::/96) around public IPv4 addresses: needed on IPv6-only networks.",
    )
    user_agent: str = Field(
        "imageservice/1 (image fetcher)",
        min_length=1,
        max_length=200,
        description="Names us to origins. Add where their operators can complain.",
    )
    connect_timeout_s: float = Field(5, gt=0, le=60, description="Seconds to connect to an origin.")
    total_timeout_s: float = Field(
        30, gt=0, le=600, description="Seconds for one attempt, all redirects included."
    )
    min_rate_bytes_s: int = Field(
        1_024, ge=0, description="Bytes a second below which an origin is too slow."
    )
    min_rate_window_s: float = Field(
        5,
        gt=0,
        le=60,
        description="Seconds before the rate is judged, and over which it is then judged.",
    )
    max_body_bytes: int = Field(
        20 * MIB, ge=1, description="Largest body that is accepted, in bytes."
    )
    max_redirects: int = Field(5, ge=0, le=20, description="Redirects that are followed.")
    per_host_limit: int = Field(
        8,
        ge=1,
        description="Requests to one origin host at the same time by this process. A fleet asks it for as many times "
        "that as it has consumers: 8 by one, 128 by sixteen.",
    )
    body_budget_bytes: int = Field(
        256 * MIB,
        ge=1,
        description="Memory for bodies in this process, in bytes; fetches wait for it.",
    )

    verification: Literal["full", "draft", "header"] = Field(
        "draft",
        description="How far pictures are decoded. full: every pixel; draft: JPEG at an eighth of its size, which "
        "finds truncation as well, everything else in full; header: trusts origins that are known good.",
    )
    max_pixels: int = Field(
        100_000_000,
        ge=1,
        description="Largest picture: frames times width times height. One frame has at most 89,478,485 as well.",
    )
    max_frames: int = Field(1_000, ge=1, description="Most frames of an animation.")
    decode_threads: int = Field(2, ge=1, le=64, description="Pictures decoded at the same time.")
    decode_budget_bytes: int = Field(
        512 * MIB,
        ge=1,
        description="Memory for decoding in this process, in bytes; pictures wait for it.",
    )

    @field_validator("allowed_networks", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("user_agent")
    @classmethod
    def _is_a_header(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("it must be one printable line, for it is sent as a header")
        return value

    @model_validator(mode="after")
    def _budget_holds_a_body(self) -> "ConsumerSettings":
        if self.body_budget_bytes < self.max_body_bytes:
            raise ValueError(
                "BODY_BUDGET_BYTES is smaller than MAX_BODY_BYTES: no fetch could begin"
            )
        return self
