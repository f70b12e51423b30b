"""Where the server is, as gRPC wants it."""


def target(host: str) -> str:
    """HOST:PORT of what was given to --host; locust's page suggests a scheme, which is dropped."""
    return host.removeprefix("http://").removeprefix("grpc://").rstrip("/")
