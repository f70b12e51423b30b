"""What a fetch may cost and where it may go."""

from dataclasses import dataclass

from consumer.fetching.networks import IPNetwork


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """Limits of the fetcher; the defaults are safe.

    connect_timeout     seconds for DNS, TCP and TLS together, per hop
    reuse_timeout       seconds in which a connection that had rested must give its first byte; then
                        a new one is asked, within total_timeout
    total_timeout       seconds for all hops and the body; waiting for our own limits does not count
    min_rate            bytes a second that a body must reach in each window
    rate_window         seconds over which the rate is judged
    rate_grace          seconds before the first window begins
    max_bytes           bytes of body that may arrive
    max_redirects       hops followed
    per_host_limit      requests at a time to one host, in this process
    per_host_wait       seconds to wait for that limit before giving up with HostBusy; few may wait, one
                        more gives up at once
    body_budget_bytes   bytes of all bodies held in this process; at least max_bytes. Large bodies,
                        and those of unknown size, take half at most while they arrive
    allowed_networks    networks opened in spite of the guard
    nat64_allowed       open 64:ff9b::/96 around public addresses (IPv6-only clusters)
    user_agent          names us to origins; an operator adds where to complain
    """

    connect_timeout: float = 5.0
    reuse_timeout: float = 5.0
    total_timeout: float = 30.0
    min_rate: int = 1_024
    rate_window: float = 5.0
    rate_grace: float = 5.0
    max_bytes: int = 20 * 1_024 * 1_024
    max_redirects: int = 5
    per_host_limit: int = 8
    per_host_wait: float = 2.0
    body_budget_bytes: int = 256 * 1_024 * 1_024
    allowed_networks: tuple[IPNetwork, ...] = ()
    nat64_allowed: bool = False
    user_agent: str = "imageservice/1 (image fetcher)"

    def __post_init__(self) -> None:
        if self.body_budget_bytes < self.max_bytes:
            raise ValueError("body_budget_bytes must be at least max_bytes, or no body would fit")
        if not self.user_agent.isprintable():
            raise ValueError("user_agent must be one printable line, for it is sent as a header")
