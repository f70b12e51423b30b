"""Settings of the server."""

import re
from dataclasses import replace

from pydantic import AliasChoices, Field, field_validator, model_validator

from core.batcher import Batching
from core.search.settings import SearchSettings
from core.settings import CoreSettings

LARGEST_PORT = 65_535


class ServerSettings(SearchSettings, CoreSettings):
    """Read from the environment; the name of a variable is the name of the field in upper case."""

    grpc_address: str = Field(
        "0.0.0.0:50051",
        description="Address and port on which gRPC is served, without TLS. Port 0 takes a free one.",
    )
    max_pending_submits: int = Field(
        10_000,
        ge=1,
        description="Submits in progress in this process, and messages of CreateRenditions. One customer alone may use "
        "all; a quarter more is for customers that have less than their share. Further SubmitImage calls get "
        "RESOURCE_EXHAUSTED. SubmitImages streams may use half, and wait for more. A submit with a URL of more than "
        "4 KB counts as three, or as up to eleven by the memory of its characters.",
    )
    max_stream_submits: int = Field(
        1_000,
        ge=1,
        description="Items of one SubmitImages stream that are read and not answered. At this limit the server stops "
        "reading, and flow control slows the client down (back-pressure).",
    )
    interactive_rate: float = Field(
        20.0,
        gt=0,
        le=1e6,
        description="Requests per second of one customer that go to the interactive lane; those beyond go to bulk. It "
        "applies to all servers together with REDIS_URL, else to each process. It has no effect without "
        "BULK_QUEUE_URL.",
    )
    interactive_burst: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="Requests of one customer that go to the interactive lane at once after a pause. The default is "
        "the number of requests in one watch.",
    )
    max_queued_calls: int = Field(
        20_000,
        ge=1,
        description="Calls that have arrived and are not started yet. gRPC ends further calls with CANCELLED, without "
        "a reason, so keep it above MAX_PENDING_SUBMITS.",
    )
    max_concurrent_streams: int = Field(
        10_000,
        ge=1,
        description="Calls in progress on one connection. gRPC ends further calls with UNAVAILABLE, without a reason.",
    )
    max_watched_requests: int = Field(
        20_000,
        validation_alias=AliasChoices("max_watched_requests", "max_watched"),
        ge=1,
        description="Request ids watched by all streams of this process; an id counts once for each stream, and for "
        "the customer of the first id of its stream. One customer alone may use all; there are as many again for "
        "customers that have less than their share.",
    )
    cached_requests: int = Field(
        10_000,
        ge=0,
        description="COMPLETED requests cached in the memory of this process, about 4 KB each. Reading one again "
        "does not read the tables, except the row of its renditions if RENDITIONS_FILE is set. A request with a long "
        "URL counts as several: up to ten. 0 disables the cache.",
    )
    cached_request_age_s: float = Field(
        600.0,
        gt=0,
        le=86_400,
        description="Seconds for which a request is cached at most. A deleted row can be visible for this time.",
    )
    watch_shortest_interval_s: float = Field(
        0.25,
        gt=0,
        description="Seconds between two polls of a watched request that was just submitted.",
    )
    watch_longest_interval_s: float = Field(
        30.0, gt=0, description="Longest time in seconds between two polls of a watched request."
    )
    max_listings: int = Field(
        64,
        ge=1,
        description="ListRequests and ListImages calls in progress in this process. One customer alone may use all; "
        "there are as many again for customers that have less than their share. Further calls get RESOURCE_EXHAUSTED.",
    )
    max_searches: int = Field(
        64,
        ge=1,
        description="SearchImages calls in progress in this process. One customer alone may use all; there are as many "
        "again for customers that have less than their share. Further calls get RESOURCE_EXHAUSTED.",
    )
    keepalive_time_s: float = Field(
        60.0,
        gt=0,
        description="Seconds without traffic on a connection after which the server sends a keepalive ping.",
    )
    keepalive_timeout_s: float = Field(
        20.0,
        gt=0,
        description="Seconds to wait for the answer to a keepalive ping before the connection is closed.",
    )
    keepalive_min_client_interval_s: float = Field(
        5.0,
        ge=0,
        description="Shortest interval in seconds between two pings of a client (else: too_many_pings).",
    )
    max_connection_age_s: float = Field(
        1_800.0,
        gt=0,
        description="Seconds after which the server asks a client to reconnect, so that clients spread over new "
        "servers. gRPC adds a jitter of 10 percent.",
    )
    max_connection_age_grace_s: float = Field(
        60.0,
        gt=0,
        description="Seconds that calls on such a connection have left to finish; then watch streams break and resume.",
    )
    drain_delay_s: float = Field(
        5.0,
        ge=0,
        description="Seconds after SIGTERM in which the server reports not ready but still accepts everything, "
        "so that load balancers notice.",
    )
    drain_grace_s: float = Field(
        25.0,
        ge=0,
        description="Seconds after that in which calls in progress may finish. Streams have half of this time.",
    )

    @property
    def reserved_submits(self) -> int:
        """Submits in progress beyond MAX_PENDING_SUBMITS, for customers below their share: each takes 22 KB or more."""
        return max(2, self.max_pending_submits // 4)

    @property
    def batching(self) -> Batching:
        """As many items may wait as submits may be in progress."""
        batching = super().batching
        pending = max(batching.max_pending, self.max_pending_submits + self.reserved_submits)
        return replace(batching, max_pending=pending)

    @field_validator("grpc_address")
    @classmethod
    def _has_a_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        # gRPC uses a larger port modulo 65,536.
        if not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > LARGEST_PORT:
            raise ValueError("it must be HOST:PORT, with a port of 0 to 65535")
        return value

    @model_validator(mode="after")
    def _intervals_are_ordered(self) -> "ServerSettings":
        if self.watch_shortest_interval_s > self.watch_longest_interval_s:
            raise ValueError("WATCH_SHORTEST_INTERVAL_S must not be above WATCH_LONGEST_INTERVAL_S")
        return self
