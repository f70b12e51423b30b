"""Settings of the consumer. docs/reference.md is generated from their descriptions."""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from consumer.private_origins.file import ReadPrivateOriginFile
from core.settings import CoreSettings, QueueSettings, QueueUrl

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MIB = 1024 * 1024


class RequestQueuesSettings(QueueSettings):
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
        description="Secret key of the hash that turns customer ids into object keys. Keep it: with another key, "
        "repeated uploads get other names.",
    )
    retention_days: int = Field(
        0,
        ge=0,
        le=3_650,
        description="Days from the end of a request until its row expires, with its id and labels. The image stays. "
        "After that the id may be used for a new request of any customer, with an image of its own. A FAILED row with "
        "an unpublished image record does not expire. 0 keeps all rows for ever.",
    )

    concurrency: int = Field(
        64,
        ge=1,
        le=1_000,
        description="Most messages that this process works on at the same time. An eighth more, at least two, are "
        "reserved for customers that have less than their share.",
    )
    receive_wait_s: int = Field(
        5,
        ge=0,
        le=20,
        description="Wait time of a receive (long poll), in seconds. A drain waits for it.",
    )
    drain_grace_s: float = Field(
        25,
        ge=0,
        description="Seconds after SIGTERM in which messages may finish; the rest is requeued. Keep DRAIN_GRACE_S + "
        "RECEIVE_WAIT_S + 25 s below the grace period of the pod.",
    )
    max_attempts: int = Field(3, ge=1, le=10, description="Most attempts to fetch an image.")
    retry_delay_s: int = Field(
        30,
        ge=0,
        le=600,
        description="Delay in seconds, plus or minus a third, before each attempt after the second; the last attempt "
        "always has it. The message waits in the queue meanwhile. 0 makes all attempts at once.",
    )
    origin_patience_s: int = Field(
        3_600,
        ge=0,
        le=86_400,
        description="Seconds for which a request waits, since it became PENDING, for a host that refuses requests "
        "(429, or 503 with Retry-After) or does not answer; for one that does not answer 600 at most. Then it fails "
        "with the code of the host's last answer if the host has accepted nothing for the last 300 s, or for this time "
        "if it is shorter. If the host accepts other requests, each further refusal of this one counts as an attempt.",
    )
    max_isolated_runs: int = Field(
        2,
        validation_alias=AliasChoices("max_isolated_runs", "max_runs_alone"),
        ge=1,
        le=10,
        description="A request is FAILED CRASHED when this number of processes have died while they decoded its image "
        "alone. An image is decoded alone if its message was received before, for example by a process that died.",
    )
    journal_dir: Path | None = Field(
        None,
        description="Folder of the journals of images that are decoded alone: files of a few KB that must survive the "
        "process, not the machine. Without one that can be written, the death of a process counts for no image. By "
        "default a folder in the system's temporary directory, one for each user and queue.",
    )

    allowed_networks: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="Private networks in which origins are allowed, as comma-separated CIDRs. None by default.",
    )
    allow_nat64: bool = Field(
        False,
        description="Allow NAT64 addresses (64:ff9b::/96) of public IPv4 addresses. Required on IPv6-only networks.",
    )
    credentials_file: Annotated[ReadPrivateOriginFile | None, NoDecode] = Field(
        None,
        description="TOML file with the credentials of private origins and the buckets that s3:// URLs may name "
        "(docs/howto/add-a-private-origin.md). A worker reads it again within seconds after a change, and keeps the "
        "last good version if the new one is faulty. A prefix of a bucket is the beginning of a key, as in IAM: end it "
        "with a slash. Without the file no request has credentials, and no bucket is read.",
    )
    user_agent: str = Field(
        "imageservice/1 (image fetcher)",
        min_length=1,
        max_length=200,
        description="User-Agent header sent to origins. Add a contact for their operators.",
    )
    respect_x_robots_tag: Annotated[
        tuple[Literal["noai", "noimageai", "noindex", "noimageindex"], ...], NoDecode
    ] = Field(
        (),
        description="Directives of the header X-Robots-Tag that are respected, separated by commas, out of noai, "
        "noimageai, noindex and noimageindex. An image that is served with one of them fails as OPTED_OUT, and its "
        "body is not read. A directive for another agent than the product in USER_AGENT is ignored. None by default.",
    )
    connect_timeout_s: float = Field(5, gt=0, le=60, description="Seconds to connect to an origin.")
    total_timeout_s: float = Field(
        30, gt=0, le=600, description="Seconds for one attempt, including all redirects."
    )
    min_rate_bytes_s: int = Field(
        1_024, ge=0, description="Lowest rate of an origin, in bytes per second."
    )
    min_rate_window_s: float = Field(
        5,
        gt=0,
        le=60,
        description="Window in seconds over which the rate is measured. The first check comes after one window.",
    )
    max_body_bytes: int = Field(
        20 * MIB, ge=1, description="Largest accepted body, in bytes, coded and decoded."
    )
    max_redirects: int = Field(5, ge=0, le=20, description="Most redirects that are followed.")
    per_host_limit: int = Field(
        8,
        ge=1,
        description="Most concurrent requests to one origin host, by its name in the URL: of all consumers together "
        "with REDIS_URL, else of this process. Also, always for this process alone, the most requests that wait for an "
        "answer of one address, whatever their hosts, if it does not answer; twice as many if it has not answered yet, "
        "and three times as many in all if other customers are below their share of them. An address that answers has "
        "no limit of its own.",
    )
    body_budget_bytes: int = Field(
        80 * MIB,
        ge=1,
        description="Memory budget for bodies in this process, in bytes. Fetches wait for free memory. A part, at most "
        "MAX_BODY_BYTES, is a reserve: no customer alone may use it.",
    )

    verification: Literal["full", "draft", "header"] = Field(
        "draft",
        description="Thoroughness of the decode check. full: every pixel; draft: JPEG at an eighth of its size, which "
        "also finds truncation, and all other formats in full; header: no decoding, for trusted origins.",
    )
    metadata_policy: Literal["keep", "strip-location", "strip-all"] = Field(
        "strip-location",
        description="Metadata that is removed before an image is published. strip-location: the location, and "
        "the bytes after the image; strip-all: all metadata except the orientation and the colour profile; keep: none. "
        "had_location, camera and capture time are recorded in any case.",
    )
    accept_missing_end: bool = Field(
        False,
        description="Accept a JPEG or PNG without its end marker if all of its pixels are there. It is published "
        "without the marker.",
    )
    max_pixels: int = Field(
        100_000_000,
        ge=1,
        description="Most pixels of an image: frames x width x height. A single frame has at most 89,478,485.",
    )
    max_frames: int = Field(1_000, ge=1, description="Most frames of an animation.")
    decoders: int = Field(
        3,
        validation_alias=AliasChoices("decoders", "decode_threads"),
        ge=1,
        le=64,
        description="Decoder processes: images decoded at the same time. If there are two or more, the first one takes "
        "cheap images only, so that expensive ones block nobody.",
    )
    decode_budget_bytes: int = Field(
        672 * MIB,
        ge=1,
        description="Memory budget for decoding expensive images, in bytes. Images wait for free memory. An image that "
        "needs more than the whole budget fails as TOO_MANY_PIXELS.",
    )
    decode_cpu_limit_s: float = Field(
        20,
        gt=0,
        le=600,
        description="Limit on the CPU time for one image, in seconds. An image that exceeds it fails as DECODE_LIMIT. "
        "Renditions fail if they and the image take more than half of it.",
    )

    @field_validator("allowed_networks", "respect_x_robots_tag", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("user_agent")
    @classmethod
    def _is_a_header(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("it must be one printable line, because it is sent as a header")
        return value

    @model_validator(mode="after")
    def _budget_holds_a_body(self) -> "ConsumerSettings":
        if self.body_budget_bytes < self.max_body_bytes:
            raise ValueError(
                "BODY_BUDGET_BYTES is smaller than MAX_BODY_BYTES, so that no fetch could start"
            )
        return self

    @model_validator(mode="after")
    def _decode_budget_holds_a_body(self) -> "ConsumerSettings":
        if self.decode_budget_bytes < self.max_body_bytes + 8 * MIB:
            raise ValueError("DECODE_BUDGET_BYTES is smaller than MAX_BODY_BYTES and 8 MiB")
        return self
