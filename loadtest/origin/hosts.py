"""The addresses that one origin is served on."""

import ipaddress


def counted_up(host: str, count: int) -> tuple[str, ...]:
    """So many addresses from `host` on, which must be a literal if there is more than one.

    Consumers limit what they ask of one host at a time; a load test needs several. Linux answers on all of 127.0.0.0/8.
    """
    if count == 1:
        return (host,)
    first = ipaddress.ip_address(host)
    return tuple(str(first + number) for number in range(count))
