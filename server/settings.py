"""The server's settings."""

import re

from pydantic import AliasChoices, Field, field_validator, model_validator

from core.search.settings import SearchSettings
from core.settings import CoreSettings

LARGEST_PORT = 65_535


class ServerSettings(SearchSettings, CoreSettings):
    """Read from the environment; a variable's name is the field's in upper case."""

    grpc_address: str = Field(
        "0.0.0.0:50051",
        description="Address and port on which gRPC is served, without TLS. Port 0 takes a free one.",
    )
    max_pending_submits: int = Field(
        10_000,
        ge=1,
        description="Submits under way in this process; beyond it a SubmitImage is RESOURCE_EXHAUSTED. SubmitImages "
        "streams may take half of it, and wait beyond.",
    )
    max_stream_submits: int = Field(
        1_000,
        ge=1,
        description="Items of one SubmitImages stream that are read and not answered yet; then the server stops "
        "reading it, and flow control holds the client back.",
    )
    max_queued_calls: int = Field(
        20_000,
        ge=1,
        description="Calls that have arrived and not been looked at; beyond it gRPC ends a call as CANCELLED, without "
        "a reason, so keep it above MAX_PENDING_SUBMITS.",
    )
    max_concurrent_streams: int = Field(
        10_000,
        ge=1,
        description="Calls under way on one connection; beyond it gRPC ends a call as UNAVAILABLE, without a reason.",
    )
    max_watched_requests: int = Field(
        20_000,
        validation_alias=AliasChoices("max_watched_requests", "max_watched"),
        ge=1,
        description="Ids watched by all streams of this process together, an id counted once for each stream.",
    )
    cached_requests: int = Field(
        10_000,
        ge=0,
        description="COMPLETED requests kept in this process's memory, about 4 KB each: asking for them again reads no "
        "table. 0 keeps none.",
    )
    cached_request_age_s: float = Field(
        600.0,
        gt=0,
        le=86_400,
        description="Seconds for which one is kept at most: how late this process notices that somebody deleted a row.",
    )
    watch_shortest_interval_s: float = Field(
        0.25,
        gt=0,
        description="Seconds between two reads of a watched request that was submitted just now.",
    )
    watch_longest_interval_s: float = Field(
        30.0, gt=0, description="Seconds between two reads of a watched request, however old it is."
    )
    max_listings: int = Field(
        64,
        ge=1,
        description="ListRequests and ListImages calls under way in this process; beyond it a further one is "
        "RESOURCE_EXHAUSTED.",
    )
    max_searches: int = Field(
        64,
        ge=1,
        description="SearchImages calls under way in this process, of which one customer has a quarter at most; beyond "
        "it a further one is RESOURCE_EXHAUSTED.",
    )
    keepalive_time_s: float = Field(
        60.0,
        gt=0,
        description="Seconds of silence on a connection after which the server asks whether the client lives.",
    )
    keepalive_timeout_s: float = Field(
        20.0, gt=0, description="Seconds for that answer; without it the connection is closed."
    )
    keepalive_min_client_interval_s: float = Field(
        5.0,
        ge=0,
        description="Seconds that a client must let pass between two pings of its own (else: too_many_pings).",
    )
    max_connection_age_s: float = Field(
        1_800.0,
        gt=0,
        description="Seconds after which a connection is asked to close, so that clients spread over new servers. "
        "gRPC varies it by 10 percent.",
    )
    max_connection_age_grace_s: float = Field(
        60.0,
        gt=0,
        description="Seconds that calls on such a connection have left; then watch streams break and resume.",
    )
    drain_delay_s: float = Field(
        5.0,
        ge=0,
        description="Seconds from SIGTERM, with readiness off, in which the server still accepts everything, "
        "so that load balancers notice.",
    )
    drain_grace_s: float = Field(
        25.0, ge=0, description="Seconds after that in which submits under way are finished."
    )

    @field_validator("grpc_address")
    @classmethod
    def _has_a_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        # gRPC takes a larger one modulo 65,536.
        if not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > LARGEST_PORT:
            raise ValueError("it must be HOST:PORT, with a port of 0 to 65535")
        return value

    @model_validator(mode="after")
    def _intervals_are_ordered(self) -> "ServerSettings":
        if self.watch_shortest_interval_s > self.watch_longest_interval_s:
            raise ValueError("WATCH_SHORTEST_INTERVAL_S must not be above WATCH_LONGEST_INTERVAL_S")
        return self
