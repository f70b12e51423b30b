"""Whether a setting is the URL of a host. Pure."""

from urllib.parse import urlsplit


def names_web_host(url: str) -> bool:
    """Whether it is an http or https URL that names a host."""
    return url.startswith(("http://", "https://")) and names_host(url)


def names_host(url: str) -> bool:
    """Whether it names a host, and a port where it names one; a password that is not percent-encoded makes it neither.

    urlsplit says so with a part of the password, which would end in a log.
    """
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
