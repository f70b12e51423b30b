"""Settings that several programs share, and the function that reads the settings of one program.

A program reads its settings once, from environment variables, and reports every fault at once. A renamed setting
declares `validation_alias=AliasChoices("new_name", "former_name")`: the former variable is accepted for one release,
the new one wins if both are set, and error messages name the new one.
"""

import os
import sys
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.batcher import Batching
from core.model.origin_url import has_web_host
from core.model.rendition import Presets
from core.redis.url import RedisUrl
from core.rendition_presets import ReadPresetFile

S = TypeVar("S", bound=BaseSettings)


def _is_web_url(url: str) -> str:
    if not has_web_host(url):
        raise ValueError("it must be an http or https URL with a host")
    return url


QueueUrl = Annotated[str, AfterValidator(_is_web_url)]
"""URL of an SQS queue."""


class ProcessSettings(BaseSettings):
    """Settings of every program. The name of a variable is the name of its field in upper case."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    metrics_host: str = Field(
        "0.0.0.0",  # noqa: S104  Prometheus connects from outside the pod
        description="Address on which Prometheus metrics are served.",
    )
    metrics_port: int = Field(
        9464, ge=1, le=65_535, description="Port on which Prometheus metrics are served."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level of log lines that are written."
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="Format of log lines: JSON for machines, console for people."
    )


class QueueSettings(ProcessSettings):
    queue_url: QueueUrl = Field(
        description="SQS queue of requests: the interactive lane (stack output QueueUrl)."
    )
    bulk_queue_url: QueueUrl | None = Field(
        None,
        description="SQS queue of the bulk lane: requests beyond their customer's rate, and imports (stack output "
        "BulkQueueUrl). Empty: there is one lane.",
    )

    @field_validator("bulk_queue_url", mode="before")
    @classmethod
    def _is_optional(cls, value: object) -> object:
        return value or None


class TableSettings(ProcessSettings):
    requests_table: str = Field(
        description="DynamoDB table IMAGEREQUESTS (stack output RequestsTable)."
    )
    images_table: str = Field(
        description="DynamoDB table PROCESSEDIMAGES (stack output ImagesTable)."
    )


class CoreSettings(QueueSettings, TableSettings):
    """Settings that the server and the consumer share."""

    public_base_url: str = Field(
        pattern=r"^https?://.+/$",
        description="Public base URL of published objects, with a final slash (stack output PublicBaseUrl).",
    )
    customer_shards: int = Field(
        8,
        ge=1,
        le=1_000,
        description="Index partitions for the requests of one customer; each allows 1,000 writes per second. Only "
        "raise it: rows keep their shard, and a server does not list shards above this number.",
    )
    batch_linger_s: float = Field(
        0.005,
        validation_alias=AliasChoices("batch_linger_s", "commit_linger_s"),
        ge=0,
        le=1,
        description="Longest time in seconds that a busy process waits for a batch to DynamoDB, SQS or SNS to fill. An "
        "idle process never waits.",
    )
    batch_max_items: int = Field(
        25,
        validation_alias=AliasChoices("batch_max_items", "commit_max_batch"),
        ge=1,
        le=25,
        description="Most items in a batch, if the limit of the service is not lower. 1 disables batching.",
    )

    renditions_file: Annotated[ReadPresetFile | None, NoDecode] = Field(
        None,
        description="TOML file with the presets of renditions, the same for servers and consumers. Without it no image "
        "has renditions, and nothing reads them.",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis, Valkey, or ElastiCache without cluster mode. Consumers notify servers of ended requests "
        "through it. redis://name:password@host:port/database, of which only the host is required, or rediss:// for "
        "TLS. Certificates are always verified, against the system's authorities or those of "
        "?ssl_ca_certs=/path/to.pem. Without it servers read the tables, and watches poll.",
    )
    redis_ttl_s: int = Field(
        86_400,
        ge=1,
        le=31_536_000,
        description="Time to live of a COMPLETED request in Redis, in seconds.",
    )

    @field_validator("redis_url")
    @classmethod
    def _names_a_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            RedisUrl.parse(value.get_secret_value())
        return value

    @property
    def presets(self) -> Presets:
        return {} if self.renditions_file is None else self.renditions_file.by_name

    @property
    def batching(self) -> Batching:
        return Batching(self.batch_max_items, self.batch_linger_s)


def load(kind: type[S], *, report_deprecated: bool = True) -> S:
    """Read the settings of a program from the environment.

    Writes one line to standard error for each deprecated variable that is set, unless `report_deprecated` is False. If
    the settings are faulty, writes one line for each fault, which begins with the variable's name, and exits with
    status 2.
    """
    if report_deprecated:
        _report_deprecated(kind)
    try:
        return kind()
    except ValidationError as error:
        for fault in error.errors():
            name, *place = map(str, fault["loc"] or ("settings",))
            where = f"{'.'.join(place)}: " if place else ""
            sys.stderr.write(f"{name.upper()}: {where}{fault['msg']}\n")
        raise SystemExit(2) from None


def _report_deprecated(kind: type[BaseSettings]) -> None:
    for name, field in kind.model_fields.items():
        former = former_variable(field)
        if former is not None and former in os.environ:
            sys.stderr.write(f"{former} is deprecated: set {name.upper()} instead\n")


def former_variable(field: FieldInfo) -> str | None:
    """Return the deprecated name of a setting's environment variable, or None if it was never renamed."""
    if not isinstance(field.validation_alias, AliasChoices):
        return None
    return str(field.validation_alias.choices[1]).upper()
